import { expect, test } from 'vitest'
import { BrokerRefusal } from '../../../src/agent/broker-link.ts'
import { type ProbeVerdict, kvmProber } from '../../../src/agent/kvm-prober.ts'
import type { Clock } from '../../../src/ports/clock.ts'
import { PortError } from '../../../src/ports/errors.ts'

const works: ProbeVerdict = { verdict: 'works', reason: '', message: '' }
const hangs: ProbeVerdict = { verdict: 'unusable', reason: 'KvmHangs', message: 'it hung' }
const unclear: ProbeVerdict = { verdict: 'inconclusive', reason: 'ProbeBroken', message: 'busy' }
const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

/** A clock that only moves when a test moves it. */
function stoppedClock(): Clock & { pass(ms: number): Promise<void> } {
  let now = 0
  const timers = new Set<{ at: number; callback: () => void }>()
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve()
  }
  return {
    now: () => now,
    elapsed: () => now,
    after(ms, callback) {
      const timer = { at: now + ms, callback }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    async pass(ms) {
      await settle()
      now += ms
      for (const timer of [...timers].filter(({ at }) => at <= now)) {
        timers.delete(timer)
        timer.callback()
      }
      await settle()
    },
  }
}

function aProber(options: { verdicts: ProbeVerdict[]; open?: () => number; tcg?: () => boolean }) {
  const clock = stoppedClock()
  const closed: number[] = []
  let runs = 0
  const prober = kvmProber({
    runs: {
      tcg: async () => undefined,
      kvm: async () => void (runs += 1),
      judgeTcg: () => ({ works: options.tcg?.() ?? true, message: '' }),
      judgeKvm: () => options.verdicts.shift() ?? works,
    },
    openKvm: async () => (options.open ?? (() => 9))(),
    closeFd: (fd) => closed.push(fd),
    clock,
    log,
  })
  const stop = new AbortController()
  void prober.run(stop.signal)
  return { prober, clock, closed, runs: () => runs }
}

test('KVM is pending until it was tried, and every descriptor is closed', async () => {
  const { prober, clock, closed } = aProber({ verdicts: [works] })
  expect(prober.kvm().state).toBe('pending')
  await clock.pass(0)
  expect(prober.kvm().state).toBe('works')
  await clock.pass(600_000)
  expect(closed).toEqual([9, 9])
})

test('One bad run takes nothing away from a node whose KVM worked; three in a row do', async () => {
  const { prober, clock } = aProber({ verdicts: [works, hangs, works, hangs, unclear, hangs, hangs] })
  await clock.pass(600_000)
  expect(prober.kvm().state).toBe('works')
  await clock.pass(20_000)
  await clock.pass(600_000)
  for (let pass = 0; pass < 2; pass += 1) await clock.pass(20_000)
  expect(prober.kvm().state).toBe('works')
  await clock.pass(20_000)
  expect(prober.kvm()).toMatchObject({ state: 'unusable', reason: 'KvmHangs' })
})

test('KVM that never worked is unusable at once', async () => {
  const { prober, clock } = aProber({ verdicts: [hangs] })
  await clock.pass(0)
  expect(prober.kvm()).toMatchObject({ state: 'unusable', reason: 'KvmHangs' })
})

test('While the broker is away KVM stays pending, and its return starts a probe at once', async () => {
  let away = true
  const open = (): number => {
    if (away) throw new PortError('Unavailable', 'the broker is away')
    return 9
  }
  const { prober, clock } = aProber({ verdicts: [works], open })
  await clock.pass(0)
  expect(prober.kvm()).toMatchObject({ state: 'pending', message: expect.stringContaining('away') })
  expect(prober.tcg().works).toBe(true)
  away = false
  prober.kick()
  await clock.pass(0)
  expect(prober.kvm().state).toBe('works')
})

test('A device that the broker cannot open is unusable with its reason', async () => {
  const open = (): number => {
    throw new BrokerRefusal('DeviceMissing', 'no /dev/kvm')
  }
  const { prober, clock } = aProber({ verdicts: [], open })
  await clock.pass(0)
  expect(prober.kvm()).toEqual({ state: 'unusable', reason: 'DeviceMissing', message: 'no /dev/kvm' })
})

test('Another fact of the broker about the device starts a probe', async () => {
  const { prober, clock, runs } = aProber({ verdicts: [] })
  const device = { present: true, opens: true, message: '' }
  await clock.pass(0)
  prober.notice(device)
  prober.notice(device)
  await clock.pass(0)
  expect(runs()).toBe(1)
  prober.notice({ ...device, opens: false })
  await clock.pass(0)
  expect(runs()).toBe(2)
})

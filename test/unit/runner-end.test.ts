import { expect, test } from 'vitest'
import { parseHardening } from '../../runner/hardening.ts'
import { judgeEnd, type Request } from '../../runner/outcome.ts'
import { powerOff } from '../../runner/power-off.ts'
import type { QemuEnd } from '../../runner/qemu.ts'
import { recordingLog, settle, virtualClock } from './runner-fakes.ts'

function anEnd(changes: Partial<QemuEnd> = {}): QemuEnd {
  return { end: { kind: 'exited', code: 0 }, ran: true, reason: undefined, output: '', ...changes }
}
const killed = { kind: 'killed', signal: 'SIGKILL' } as const
const locked = 'qemu-system-x86_64: -blockdev {}: Failed to get "write" lock\nIs another process using the image [/vm/disks/root.qcow2]?'

test.each<[string, QemuEnd, Request, string]>([
  ['a guest that was asked and powered off', anEnd({ reason: 'guest-shutdown' }), 'powerButton', 'Stopped'],
  ['a guest whose agent was asked and powered off', anEnd({ reason: 'guest-shutdown' }), 'guestAgent', 'Stopped'],
  ['a guest that shut itself down', anEnd({ reason: 'guest-shutdown' }), 'none', 'GuestShutdown'],
  ['a guest that did not listen', anEnd({ reason: 'host-qmp-quit' }), 'forced', 'ForcedOff'],
  ['a QEMU that had to be killed in the end', anEnd({ end: killed }), 'forced', 'ForcedOff'],
  ['a panic', anEnd({ reason: 'guest-panic' }), 'none', 'GuestPanicked'],
  ['a panic while shutting down', anEnd({ reason: 'guest-panic' }), 'powerButton', 'GuestPanicked'],
  ['a QEMU that was killed', anEnd({ end: killed }), 'none', 'QemuCrashed'],
  ['a QEMU that was killed while the guest shut down', anEnd({ end: killed }), 'powerButton', 'QemuCrashed'],
  ['a QEMU that got a signal of its own', anEnd({ reason: 'host-signal' }), 'none', 'QemuCrashed'],
  ['a QEMU that refused its arguments', anEnd({ ran: false, end: { kind: 'exited', code: 1 } }), 'none', 'QemuStartFailed'],
  ['a stop before the guest ran', anEnd({ ran: false, reason: 'host-qmp-quit' }), 'asked', 'Stopped'],
])('%s', (_what, end, request, exit) => {
  expect(judgeEnd(end, request)).toMatchObject({ kind: 'exit', exit })
})

test('a disk that another QEMU holds is waited for', () => {
  expect(judgeEnd(anEnd({ ran: false, end: { kind: 'exited', code: 1 }, output: locked }), 'none')).toMatchObject({ kind: 'imageLocked' })
})

/** A guest that hears the button from the given press on. */
function aGuest(hearsPress: number) {
  const clock = virtualClock()
  let presses = 0
  let quits = 0
  const disk = { isFull: false, continued: 0 }
  /** `hears`: the guest's agent powers the guest off. `answers`: it accepts the request, and nothing happens. */
  const agent: { is: 'absent' | 'hung' | 'answers' | 'hears' } = { is: 'absent' }
  const paused = { is: false }
  let end: (value: QemuEnd) => void = () => undefined
  const ended = new Promise<QemuEnd>((resolve) => {
    end = resolve
  })
  const qemu = {
    ended,
    agent: {
      shutDown: async () => {
        if (agent.is === 'hung') return new Promise<boolean>(() => undefined)
        if (agent.is === 'hears' && !paused.is) end(anEnd())
        return agent.is === 'hears' || agent.is === 'answers'
      },
    },
    status: () => Promise.resolve(disk.isFull ? 'io-error' : paused.is ? 'paused' : 'running'),
    run: () => {
      paused.is = false
      disk.continued += 1
      return Promise.resolve()
    },
    pressPowerButton: () => {
      presses += 1
      if (presses >= hearsPress && hearsPress > 0 && !disk.isFull && !paused.is) end(anEnd())
      return Promise.resolve()
    },
    quit: () => {
      quits += 1
      end(anEnd())
      return Promise.resolve()
    },
  }
  return {
    clock,
    qemu,
    disk,
    agent,
    paused,
    presses: () => presses,
    quits: () => quits,
    off: (ms: number) => powerOff(qemu, ms, { clock, log: recordingLog() }),
  }
}

test('the power button is pressed again for a guest that was still in its firmware', async () => {
  const guest = aGuest(3)
  const off = guest.off(30_000)
  await guest.clock.pass(6_001)
  expect(await off).toBe('powerButton')
  expect([guest.presses(), guest.quits()]).toEqual([3, 0])
})

test('a guest that ignores the power button is killed at its timeout, not before', async () => {
  const guest = aGuest(-1)
  const off = guest.off(10_000)
  await guest.clock.pass(9_999)
  await settle()
  expect(guest.quits()).toBe(0)
  await guest.clock.pass(1)
  expect(await off).toBe('forced')
  expect(guest.quits()).toBe(1)
})

test('a guest that a full disk paused is continued for 12 s and then ended, since it cannot power off', async () => {
  const guest = aGuest(1)
  guest.disk.isFull = true
  const off = guest.off(110_000)
  await guest.clock.pass(11_999)
  await settle()
  expect(guest.quits()).toBe(0)
  await guest.clock.pass(1)
  expect(await off).toBe('forced')
  expect([guest.quits(), guest.disk.continued]).toEqual([1, 4])
})

test('a guest that a full disk paused powers off in order when there is room in time', async () => {
  const guest = aGuest(1)
  guest.disk.isFull = true
  const off = guest.off(110_000)
  await guest.clock.pass(8_000)
  guest.disk.isFull = false
  await guest.clock.pass(2_000)
  expect(await off).toBe('powerButton')
  expect(guest.quits()).toBe(0)
})

test('a guest that runs again after the last try powers off in order', async () => {
  const guest = aGuest(1)
  guest.disk.isFull = true
  const off = guest.off(110_000)
  await guest.clock.pass(10_000)
  expect(guest.disk.continued).toBe(4)
  guest.disk.isFull = false
  await guest.clock.pass(2_000)
  expect(await off).toBe('powerButton')
  expect(guest.quits()).toBe(0)
})

test('a guest whose agent answers powers off without the power button', async () => {
  const guest = aGuest(1)
  guest.agent.is = 'hears'
  expect(await guest.off(30_000)).toBe('guestAgent')
  expect([guest.presses(), guest.quits()]).toEqual([0, 0])
})

test('a guest whose agent accepts the request and does nothing gets the power button after 3 s', async () => {
  const guest = aGuest(1)
  guest.agent.is = 'answers'
  const off = guest.off(30_000)
  await guest.clock.pass(2_999)
  expect(guest.presses()).toBe(0)
  await guest.clock.pass(1)
  expect(await off).toBe('powerButton')
})

test('a guest whose agent hangs gets the power button after 2 s, and the grace period counts from the start', async () => {
  const guest = aGuest(-1)
  guest.agent.is = 'hung'
  const off = guest.off(10_000)
  await guest.clock.pass(1_999)
  expect(guest.presses()).toBe(0)
  await guest.clock.pass(8_000)
  expect([guest.presses() > 0, guest.quits()]).toEqual([true, 0])
  await guest.clock.pass(1)
  expect(await off).toBe('forced')
})

test('a short grace period leaves half of it to the power button when the agent hangs', async () => {
  const guest = aGuest(1)
  guest.agent.is = 'hung'
  const off = guest.off(2_000)
  await guest.clock.pass(1_000)
  expect(guest.presses()).toBe(1)
  await guest.clock.pass(1_000)
  expect(await off).toBe('powerButton')
})

test.each(['absent', 'hears'] as const)('a paused guest whose agent is %s is resumed, so that it can power off', async (is) => {
  const guest = aGuest(1)
  guest.paused.is = true
  guest.agent.is = is
  const off = guest.off(10_000)
  await guest.clock.pass(100)
  expect(await off).toBe(is === 'hears' ? 'guestAgent' : 'powerButton')
  expect(guest.disk.continued).toBe(1)
})

test('hardening is what the kernel says', () => {
  const status =
    'Name:\tnode\nUid:\t30702\t30702\t30702\t30702\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n'
  expect(parseHardening(status)).toEqual({ uid: 30702, capEff: '0'.repeat(16), capBnd: '0'.repeat(16), noNewPrivs: true, seccomp: 2 })
})

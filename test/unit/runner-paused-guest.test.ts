import { expect, test } from 'vitest'
import { responseTo } from '../../src/api/qemu-run-states.ts'
import { PausedGuest } from '../../runner/paused-guest.ts'
import { QmpError } from '../../runner/qmp.ts'
import { recordingLog, settle, virtualClock } from './runner-fakes.ts'

const mib = 1024 * 1024

/** A QEMU that pauses its guest whenever it writes to a full disk. */
function aGuest() {
  const clock = virtualClock()
  const world = {
    state: 'running',
    freeBytes: 0,
    continued: 0,
    crashedBy: '',
    paused: [] as string[],
    isHung: false,
    isHeld: false,
    stopsAfterAnswer: false,
  }
  const runner = new PausedGuest({
    qemu: {
      ended: new Promise<never>(() => undefined),
      status: () => {
        if (world.isHung) return Promise.reject(new QmpError('QEMU did not answer'))
        const { state } = world
        if (world.stopsAfterAnswer && state === 'running') {
          Object.assign(world, { state: 'io-error', stopsAfterAnswer: false })
          void runner.stopped()
        }
        return Promise.resolve(state)
      },
      crash: (why) => void (world.crashedBy = why),
      run: () => {
        world.continued += 1
        if (world.freeBytes > 0) world.state = 'running'
        else void runner.stopped()
        return Promise.resolve()
      },
    },
    isHeld: () => world.isHeld,
    freeBytes: () => Promise.resolve(world.freeBytes),
    clock,
    log: recordingLog(),
    onPaused: (why) => void world.paused.push(why),
  })
  const stop = async (state: string): Promise<void> => {
    world.state = state
    void runner.stopped()
    await settle()
  }
  return { clock, world, stop }
}

test('a guest on a full disk says so, and continues when there is room', async () => {
  const { clock, world, stop } = aGuest()
  await stop('io-error')
  await clock.pass(600_000)
  expect(world).toMatchObject({ state: 'io-error', continued: 0 })
  expect(world.paused.at(-1)).toContain('is full')
  world.freeBytes = 63 * mib
  await clock.pass(60_000)
  expect(world.continued).toBe(0)
  world.freeBytes = 64 * mib
  await clock.pass(30_000)
  expect(world).toMatchObject({ state: 'running', continued: 1 })
  expect(world.paused.at(-1)).toBe('')
})

test('a guest that fills the disk again and again is continued with growing pauses, and after a good run at once', async () => {
  const { clock, world, stop } = aGuest()
  world.freeBytes = 1024 * mib
  for (let fillsMs = 0; fillsMs < 200_000; fillsMs += 1_000) {
    if (world.state === 'running') await stop('io-error')
    await clock.pass(1_000)
  }
  expect(world.continued).toBeLessThan(15)
  await clock.pass(120_000)
  const before = world.continued
  await stop('io-error')
  await clock.pass(1_000)
  expect(world.continued).toBe(before + 1)
})

test('a stop that QEMU tells right after it said "running" is not missed', async () => {
  const { clock, world, stop } = aGuest()
  world.freeBytes = 1024 * mib
  world.stopsAfterAnswer = true
  await stop('io-error')
  await clock.pass(60_000)
  expect(world).toMatchObject({ state: 'running', continued: 2 })
})

test('a QEMU that does not answer for a while is asked again', async () => {
  const { clock, world, stop } = aGuest()
  world.isHung = true
  world.freeBytes = 1024 * mib
  await stop('io-error')
  await clock.pass(10_000)
  world.isHung = false
  await clock.pass(60_000)
  expect(world.state).toBe('running')
})

test.each(['internal-error', 'watchdog'])('a QEMU in %s is ended, so that Swarm starts the VM again', async (state) => {
  const { world, stop } = aGuest()
  await stop(state)
  expect(world.crashedBy).toBe(state)
})

test('a guest that somebody paused is continued', async () => {
  const { clock, world, stop } = aGuest()
  world.freeBytes = 1
  await stop('paused')
  await clock.pass(1_000)
  expect(world).toMatchObject({ state: 'running', continued: 1 })
})

test.each(['shutdown', 'guest-panicked', 'suspended', 'a state of a newer QEMU', 'toString'])('nothing is done about %s', async (state) => {
  const { clock, world, stop } = aGuest()
  await stop(state)
  await clock.pass(120_000)
  expect(world).toMatchObject({ state, continued: 0, crashedBy: '' })
  expect(['byEvent', 'report']).toContain(responseTo(state))
})

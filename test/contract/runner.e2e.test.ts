import { chmodSync, chownSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { runnerUid } from '../../src/api/layout.ts'
import { makeRig, type Program, type Rig } from './runner/rig.ts'

let rig: Rig
beforeEach(async () => {
  rig = await makeRig()
})
afterEach(() => rig.down())

const phase = (name: string) => (line: Record<string, unknown>) => line['phase'] === name
const serial = (text: string) => (line: Record<string, unknown>) => line['stream'] === 'serial' && String(line['line']).includes(text)
const event = (name: string) => (line: Record<string, unknown>) => line['event'] === name

function count(program: Program, fits: (line: Record<string, unknown>) => boolean): number {
  return program.lines.filter(fits).length
}

test('a VM waits for the broker, runs unprivileged on a passed TAP, outlives the broker, powers off in order and leaves to its successor', async () => {
  const first = rig.runner()
  await first.line(phase('WaitingForBroker'))
  expect((await rig.status()).phase).toBe('WaitingForBroker')

  let broker = await rig.broker()
  await first.line(serial('boot=1 hostname=web-1'))
  const status = await rig.status()
  expect(status).toMatchObject({ phase: 'Running', accelerator: 'tcg', qemuStatus: 'running', restarts: 0 })
  expect(status.hardening).toMatchObject({ uid: runnerUid, capEff: '0'.repeat(16), capBnd: '0'.repeat(16), noNewPrivs: true })
  rig.inNetns('ip', 'link', 'set', 'sv0123456789ab', 'up')
  const received = (): number => Number(rig.inNetns('cat', '/sys/class/net/sv0123456789ab/statistics/rx_packets'))
  await expect.poll(received, { timeout: 20_000 }).toBeGreaterThan(0)

  const second = rig.runner()
  await second.line(phase('WaitingForPrevious'))
  expect((await rig.status()).phase).toBe('Running')
  expect(rig.qemus()).toHaveLength(1)

  broker.child.kill('SIGKILL')
  await broker.exit
  await second.line(phase('WaitingForBroker'))
  broker = await rig.broker()
  // Whoever is first: the second one is kept waiting by the TAP that is in use.
  expect(await broker.line(event('reclaimed'))).toMatchObject({ taps: ['sv0123456789ab'], names: ['sv0123456789ab'] })
  expect((await rig.status()).phase).toBe('Running')

  first.child.kill('SIGTERM')
  expect(await first.exit).toBe(0)
  expect(rig.serialLog()).toContain('orderly shutdown complete')
  await second.line(serial('boot=2 hostname=web-1'))
  expect(rig.serialLog()).not.toContain('power cut')
  expect(rig.crashRecord()).toBeUndefined()
  second.child.kill('SIGTERM')
  expect(await second.exit).toBe(0)
})

test('a QEMU that is killed is a crash: the code says so, and the next runner waits before it asks for the lease', async () => {
  const broker = await rig.broker()
  const first = rig.runner()
  await first.line(serial('boot=1'))
  for (const pid of rig.qemus()) process.kill(pid, 'SIGKILL')
  expect(await first.exit).toBe(71)
  await broker.line(event('released'))
  expect(rig.crashRecord()).toMatchObject({ version: 1, failures: 1, restarts: 1, lastExitCode: 71 })
  expect(rig.inNetns('ip', '-br', 'link')).not.toContain('sv0123456789ab')

  const second = rig.runner()
  await second.line(phase('CrashBackoff'))
  expect(count(broker, event('granted'))).toBe(1)
  second.child.kill('SIGTERM')
  expect(await second.exit).toBe(0)

  const third = rig.runner()
  await third.line(serial('boot=2'))
  expect((await rig.status()).restarts).toBe(1)
})

test('power-off over the control socket keeps the task and gives the lease back', async () => {
  const broker = await rig.broker()
  const runner = rig.runner()
  await runner.line(phase('Running'))
  // The guest is in its firmware: the first press is not heard.
  expect((await rig.ask('powerOff')).type).toBe('ok')
  await runner.line(phase('Stopped'))
  expect(rig.serialLog()).toContain('orderly shutdown complete')
  await broker.line(event('released'))
  expect(await rig.status()).toMatchObject({ phase: 'Stopped', accelerator: null, qemuStatus: null })
  expect(runner.child.exitCode).toBeNull()
  runner.child.kill('SIGTERM')
  expect(await runner.exit).toBe(0)
})

test('power-off by the broker does the same', async () => {
  const broker = await rig.broker()
  const runner = rig.runner()
  await runner.line(serial('boot=1'))
  // `ip netns exec` becomes the program it starts.
  broker.child.kill('SIGUSR1')
  await runner.line(phase('Stopped'))
  await broker.line(event('released'))
  expect(rig.serialLog()).toContain('orderly shutdown complete')
})

test('a stop while waiting ends at once, and a guest that hears no button is ended by force in its time', async () => {
  const waiting = rig.runner()
  await waiting.line(phase('WaitingForBroker'))
  waiting.child.kill('SIGTERM')
  expect(await waiting.exit).toBe(0)

  rig.writeLaunch({ powerOffTimeoutS: 1 })
  await rig.broker()
  const deaf = rig.runner()
  await deaf.line(phase('Running'))
  deaf.child.kill('SIGTERM')
  expect(await deaf.exit).toBe(76)
  expect(rig.crashRecord()).toBeUndefined()
})

test('user data reaches the guest, and is nowhere that others can read', async () => {
  const userData = '#cloud-config\nhostname: from-user-data\n'
  writeFileSync(join(rig.dir, 'userdata'), userData)
  chownSync(join(rig.dir, 'userdata'), runnerUid, 0)
  chmodSync(join(rig.dir, 'userdata'), 0o400)
  rig.writeLaunch({ cloudInit: { ...(rig.launch['cloudInit'] as object), hasUserData: true } })
  await rig.broker()
  const runner = rig.runner()
  await runner.line(serial('hostname=from-user-data'))
  expect(rig.readableByOthers('scratch')).toEqual([])
  expect(JSON.stringify(runner.lines)).not.toContain('#cloud-config')
})

test('what cannot be started says which part is wrong, and touches nothing', async () => {
  rig.writeLaunch({ cores: 0 })
  expect(await rig.runner().exit).toBe(64)
  rig.writeLaunch({ uid: '22222222-2222-4222-8222-222222222222' })
  expect(await rig.runner().exit).toBe(65)
  rmSync(join(rig.dir, 'vm/run/crash.json'))

  rig.writeLaunch({ cloudInit: { ...(rig.launch['cloudInit'] as object), hasUserData: true } })
  await rig.broker()
  expect(await rig.runner().exit).toBe(66)
  rmSync(join(rig.dir, 'vm/run/crash.json'))

  rig.writeLaunch()
  const runner = rig.runner('--machine-type', 'pc-q35-99.9')
  expect(await runner.exit).toBe(70)
  expect(await runner.line((line) => line['exit'] === 'QemuStartFailed')).toMatchObject({
    why: expect.stringContaining('unsupported machine type'),
  })
})

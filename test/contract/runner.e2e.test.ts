import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { runnerUid, sharedGid } from '../../src/api/layout.ts'
import { qemuRunStates } from '../../src/api/qemu-run-states.ts'
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
  // Either of them may be first. The second one waits because the TAP is in use.
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
  await second.line(phase('CrashLoopBackOff'))
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
  // The guest is still in its firmware, which ignores the first press.
  expect((await rig.ask('powerOff')).type).toBe('ok')
  await runner.line(phase('Stopped'))
  expect(rig.serialLog()).toContain('orderly shutdown complete')
  await broker.line(event('released'))
  expect(await rig.status()).toMatchObject({ phase: 'Stopped', accelerator: null, qemuStatus: null })
  expect(runner.child.exitCode).toBeNull()
  runner.child.kill('SIGTERM')
  expect(await runner.exit).toBe(0)
})

test('power-off by the broker gives the lease back, and the runner asks for it again', async () => {
  const broker = await rig.broker()
  const runner = rig.runner()
  await runner.line(serial('boot=1'))
  // `ip netns exec` becomes the program it starts.
  broker.child.kill('SIGUSR1')
  await runner.line(phase('Stopped'))
  await broker.line(event('released'))
  expect(rig.serialLog()).toContain('orderly shutdown complete')
  // This broker grants at once; a real one not before the node is known to stay.
  await runner.line(serial('boot=2'))
  expect(rig.serialLog()).not.toContain('power cut')
  expect(rig.crashRecord()).toBeUndefined()
  runner.child.kill('SIGTERM')
  expect(await runner.exit).toBe(0)
})

test('a stop while waiting ends at once, and a guest that ignores the power button is killed at its timeout', async () => {
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

/** The rig's disk on a file system of its own that has no byte left. Returns what makes room again. */
function fullFileSystem(dir: string): () => void {
  const disks = join(dir, 'vm/disks')
  const [disk, spare, ballast] = [join(disks, 'root.qcow2'), join(dir, 'spare.qcow2'), join(disks, 'ballast')]
  copyFileSync(disk, spare)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=160m', 'tmpfs', disks])
  copyFileSync(spare, disk)
  for (const path of [disks, disk]) chownSync(path, runnerUid, sharedGid)
  const { bavail, bsize } = statfsSync(disks)
  execFileSync('fallocate', ['-l', String(bavail * bsize), ballast])
  return () => rmSync(ballast)
}

test('a guest whose disk is full is paused, says so, and continues when there is room', async () => {
  const makeRoom = fullFileSystem(rig.dir)
  try {
    await rig.broker()
    const runner = rig.runner()
    await expect.poll(async () => (await rig.status().catch(() => undefined))?.qemuStatus, { timeout: 120_000 }).toBe('io-error')
    expect(await rig.status()).toMatchObject({ phase: 'Running', message: expect.stringContaining('is full') as string })
    makeRoom()
    await runner.line(serial('boot=1'))
    await expect.poll(() => rig.status(), { timeout: 60_000 }).toMatchObject({ phase: 'Running', qemuStatus: 'running', message: '' })
    runner.child.kill('SIGTERM')
    expect(await runner.exit).toBe(0)
    expect(rig.serialLog()).toContain('orderly shutdown complete')
  } finally {
    for (const pid of rig.qemus()) process.kill(pid, 'SIGKILL')
    execFileSync('umount', ['--lazy', join(rig.dir, 'vm/disks')])
  }
})

interface QmpType {
  readonly name: string
  readonly 'ret-type'?: string
  readonly members?: readonly { readonly name: string; readonly type?: string }[]
  readonly values?: readonly string[]
}

test('the table of run states has each state of this QEMU', () => {
  const input = ['qmp_capabilities', 'query-qmp-schema', 'quit'].map((execute) => JSON.stringify({ execute })).join('\n')
  const said = execFileSync('qemu-system-x86_64', ['-M', 'none', '-display', 'none', '-qmp', 'stdio'], {
    input,
    maxBuffer: 64 * 1024 * 1024,
  })
  const answers = said.toString().trim().split('\n')
  const schema = answers.map((line) => (JSON.parse(line) as { return?: unknown }).return).find((one) => Array.isArray(one)) as QmpType[]
  const named = (name: string | undefined): QmpType | undefined => schema.find((one) => one.name === name)
  const answer = named(named('query-status')?.['ret-type'])
  const states = named(answer?.members?.find((one) => one.name === 'status')?.type)?.values ?? []
  expect(states.length).toBeGreaterThan(10)
  expect(Object.keys(qemuRunStates).toSorted()).toEqual(states.toSorted())
})

test('a disk of a running VM is opened a second time in no way: under its name, a hard link, a symlink, a bind mount, or by another runner', async () => {
  const broker = await rig.broker()
  const first = rig.runner()
  await first.line(serial('boot=1'))
  const disk = join(rig.dir, 'vm/disks/root.qcow2')
  const [hard, soft, bound] = ['hard', 'soft', 'bound'].map((name) => join(rig.dir, 'vm/disks', `${name}.qcow2`)) as [
    string,
    string,
    string,
  ]
  linkSync(disk, hard)
  symlinkSync(disk, soft)
  writeFileSync(bound, '')
  execFileSync('mount', ['--bind', disk, bound])
  try {
    const refused = (path: string): boolean => {
      const { status, stderr } = spawnSync('qemu-io', ['-f', 'qcow2', '-c', 'write 0 512', path], { encoding: 'utf8' })
      return status !== 0 && /Failed to get (shared )?"[a-z ]+" lock/.test(stderr)
    }
    for (let round = 0; round < 25; round += 1)
      for (const path of [disk, hard, soft, bound]) expect([path, refused(path)]).toEqual([path, true])
  } finally {
    execFileSync('umount', [bound])
    rmSync(hard)
    rmSync(soft)
    rmSync(bound)
  }
  const others = Array.from({ length: 3 }, () => rig.runner())
  for (const other of others) await other.line(phase('WaitingForPrevious'))
  expect([count(broker, event('granted')), rig.qemus().length]).toEqual([1, 1])
  for (const other of others) {
    other.child.kill('SIGTERM')
    expect(await other.exit).toBe(0)
  }
})

test('a disk whose QEMU was killed is checked, and a corrupt one is kept and given to no guest', async () => {
  await rig.broker()
  const first = rig.runner()
  await first.line(serial('boot=1'))
  for (const pid of rig.qemus()) process.kill(pid, 'SIGKILL')
  expect(await first.exit).toBe(71)

  const second = rig.runner()
  const checked = await second.line((line) => line['msg'] === 'Checked a disk whose QEMU did not close it')
  expect(checked).toMatchObject({ disk: 'root', kind: 'fine' })
  await second.line(phase('Running'))
  for (const pid of rig.qemus()) process.kill(pid, 'SIGKILL')
  expect(await second.exit).toBe(71)

  // The entries of the first L2 table, which is the second cluster behind header and refcounts, point into nowhere.
  const disk = join(rig.dir, 'vm/disks/root.qcow2')
  const map = JSON.parse(execFileSync('qemu-img', ['check', '--output=json', disk]).toString()) as { 'image-end-offset': number }
  const file = openSync(disk, 'r+')
  for (let at = 0x40000; at < Math.min(map['image-end-offset'], 0x50000); at += 8)
    writeSync(file, Buffer.from('80ffffffffff0000', 'hex'), 0, 8, at)
  closeSync(file)
  // Data behind the damaged table looks like a leak, so even a repair of leaks would destroy it.
  const contents = (): string => createHash('sha256').update(readFileSync(disk)).digest('hex')
  const before = contents()
  const third = rig.runner()
  await third.line(phase('DiskCorrupt'))
  expect(rig.qemus()).toEqual([])
  expect((await rig.status()).message).toContain('qemu-img check -r all disks/root.qcow2')
  third.child.kill('SIGTERM')
  expect(await third.exit).toBe(0)
  expect(contents()).toBe(before)
})

test('a paused guest stays paused, is resumed on request, and a stop resumes it so that it powers off in order', async () => {
  await rig.broker()
  const runner = rig.runner()
  await runner.line(serial('boot=1'))
  expect(await rig.control('pause')).toMatchObject({ type: 'ok' })
  expect(await rig.status()).toMatchObject({
    state: 'Paused',
    phase: 'Running',
    qemuStatus: 'paused',
    message: 'paused by docker vm pause',
  })
  expect(await rig.control('unpause')).toMatchObject({ type: 'ok' })
  expect(await rig.status()).toMatchObject({ state: 'Running', qemuStatus: 'running' })
  expect(await rig.control('pause')).toMatchObject({ type: 'ok' })
  runner.child.kill('SIGTERM')
  expect(await runner.exit).toBe(0)
  expect(rig.serialLog()).toContain('orderly shutdown complete')
})

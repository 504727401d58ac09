import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmodSync, chownSync, closeSync, constants, lstatSync, mkdirSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AgentClient } from '../../src/adapters/control/agent-client.ts'
import { loadLibc } from '../../src/adapters/linux/libc.ts'
import { agentUid, type Layout, runnerUid, sharedGid } from '../../src/api/layout.ts'
import type { PrepareOrder } from '../../src/api/wire/agent-api.ts'
import {
  anOrder,
  eventually,
  type FakeBroker,
  fakeBroker,
  makeImage,
  makeStateRoot,
  prepared,
  removeStateRoot,
  sha256Of,
  startProgram,
} from './agent/harness.ts'
import { aVmName } from '../support/branded.ts'

const libc = loadLibc()
const secret = 'this belongs to another VM'
// fcntl(2). A lease says whether anybody opened a file since it was taken.
const [fSetsig, fSetlease, fGetlease, fWrlck, sigurg] = [10, 1024, 1025, 1, 23]

let root: Layout
let broker: FakeBroker
let cleanups: (() => unknown)[]
let client: AgentClient
let mine: PrepareOrder
let other: PrepareOrder

beforeEach(async () => {
  root = makeStateRoot()
  broker = await fakeBroker(root)
  chmodSync(root.admin, 0o2755)
  cleanups = [() => broker.close()]
  for (const name of ['a', 'b']) makeImage(join(root.images, `${name}.qcow2`))
  client = (await startProgram(root, cleanups)).client
  mine = anOrder({ vm: aVmName('mine'), disks: [diskOf('a')] })
  // Both images are stored from here on.
  const disks = ['root', 'data'].map((name, index) => ({ ...diskOf(index === 0 ? 'b' : 'a'), name }))
  other = anOrder({ vm: aVmName('other'), disks, nics: [] })
  expect(await prepared(client, other)).toMatchObject({ state: 'ready' })
})
afterEach(async () => {
  for (const cleanup of cleanups.toReversed()) await cleanup()
  removeStateRoot(root)
})

function diskOf(image: string): PrepareOrder['disks'][number] {
  return { name: 'root', sizeBytes: 16 * 1024 ** 2, image: { source: `images/${image}.qcow2`, sha256: null } }
}

/** Files that the agent may write and that are not this VM's; the swapper's links lead to them. */
function victims(): { readonly symbolic: string[]; readonly hard: string[] } {
  const make = (name: string): string => {
    const path = join(root.disks(other.uid), name)
    writeFileSync(path, secret)
    chmodSync(path, 0o660)
    chownSync(path, agentUid, sharedGid)
    return path
  }
  return { symbolic: [root.diskFile(other.uid, 'root'), make('victim'), root.disks(other.uid)], hard: [make('linked')] }
}

/** An instance as an interrupted preparation leaves it, so that there is something to swap from the first step on. */
function makeDirectories({ uid }: PrepareOrder): void {
  for (const [path, mode] of [
    [root.instance(uid), 0o2750],
    [root.instanceImages(uid), 0o2750],
    [root.disks(uid), 0o2770],
    [root.run(uid), 0o2770],
  ] as const) {
    mkdirSync(path)
    chownSync(path, agentUid, sharedGid)
    chmodSync(path, mode)
  }
}

interface Swapper {
  readonly intrusions: string[]
  end(): Promise<void>
}

async function swapper(leadTo: { readonly symbolic: string[]; readonly hard: string[] }): Promise<Swapper> {
  // On the same file system, so that its FIFO and its socket can be linked.
  const scratch = join(root.root, `scratch-${randomUUID().slice(0, 8)}`)
  mkdirSync(scratch)
  chownSync(scratch, runnerUid, sharedGid)
  const drop = ['--reuid', String(runnerUid), '--regid', String(sharedGid), '--clear-groups', '--no-new-privs', '--bounding-set', '-all']
  const script = join(import.meta.dirname, 'hostile/swapper.ts')
  const args = [root.instance(mine.uid), scratch, JSON.stringify(leadTo.symbolic), JSON.stringify(leadTo.hard)]
  const child = spawn('setpriv', [...drop, '--inh-caps', '-all', process.execPath, script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  child.stdout.on('data', (bytes: Buffer) => lines.push(...bytes.toString().trim().split('\n')))
  const end = (): Promise<void> => ended(child)
  cleanups.push(end)
  await eventually(() => (lines.includes('swapping') ? true : undefined))
  return { intrusions: lines, end }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

/** Tells once, in the end, which of these files somebody opened. An opener waits until then. */
function trap(paths: readonly string[]): () => string[] {
  const held = paths.map((path) => {
    const fd = openSync(path, constants.O_RDWR)
    libc.fcntlValue(fd, fSetsig, sigurg)
    libc.fcntlValue(fd, fSetlease, fWrlck)
    return { path, fd }
  })
  cleanups.push(() => held.forEach(({ fd }) => closeSync(fd)))
  return () => {
    const opened = held.filter(({ fd }) => libc.fcntlValue(fd, fGetlease, 0) !== fWrlck).map(({ path }) => path)
    for (const { fd } of held.splice(0)) closeSync(fd)
    return opened
  }
}

/** Every name outside of the hostile VM's directory, with what lstat and the content say. */
function worldOutside(): Map<string, string> {
  const seen = new Map<string, string>()
  const visit = (path: string): void => {
    const { mode, uid, gid, size, mtimeMs, ino } = lstatSync(path)
    const isDirectory = (mode & 0o170000) === 0o040000
    const content = (mode & 0o170000) === 0o100000 ? sha256Of(path) : ''
    seen.set(path, JSON.stringify([mode, uid, gid, ino, ...(isDirectory ? [] : [size, mtimeMs, content])]))
    if (isDirectory) for (const name of readdirSync(path)) if (!ofThisVm.test(name)) visit(join(path, name))
  }
  const ofThisVm = new RegExp(`^(${mine.uid}(\\.json)?|scratch-.*|tmp)$`)
  visit(root.root)
  return seen
}

/** Runs beside a swapper; then nothing outside has changed, been opened, or come into an answer. */
async function besideSwapper(run: () => Promise<unknown[]>): Promise<unknown[]> {
  const leadTo = victims()
  const before = worldOutside()
  const opened = trap(leadTo.symbolic.filter((path) => lstatSync(path).isFile()))
  const hostile = await swapper(leadTo)
  const answers = await run()
  await hostile.end()
  expect(opened()).toEqual([])
  expect(Object.fromEntries(worldOutside())).toEqual(Object.fromEntries(before))
  expect(hostile.intrusions.filter((line) => line.startsWith('intruded'))).toEqual([])
  expect(JSON.stringify(answers)).not.toContain(secret)
  return answers
}

/** The result of an order, which may be a rejection beside a hostile runner. */
async function answer(ask: Promise<unknown>): Promise<unknown> {
  return await ask.catch((error: Error) => ({ error: error.message }))
}

const stateOf = (one: unknown): string => (one as { state?: string }).state ?? 'error'

/** The same disk from the other image, allowed by the token of the refusal. */
async function replacement(order: PrepareOrder, name: string): Promise<PrepareOrder> {
  const wanted = { ...order, disks: [diskOf(name)], disksMustExist: true }
  const refused = (await answer(prepared(client, wanted))) as { message?: string }
  const [, token] = /replace-disks: "root=([0-9a-f]{16})"/.exec(refused.message ?? '') ?? []
  return token === undefined ? wanted : { ...wanted, replaceDisks: [{ disk: 'root', token }] }
}

describe('beside a runner that swaps what lies in its directories', () => {
  test('the agent makes the first disk of a VM', async () => {
    makeDirectories(mine)
    const answers = await besideSwapper(async () => {
      const seen: unknown[] = []
      for (let round = 0; round < 15; round += 1) {
        rmSync(root.identityFile(mine.uid), { force: true })
        seen.push(await answer(prepared(client, mine)))
      }
      return seen
    })
    expect(new Set(answers.map(stateOf)).size).toBeGreaterThan(0)
    expect(await prepared(client, { ...mine, disksMustExist: false })).toHaveProperty('state')
  })

  test('the agent replaces a disk', async () => {
    expect(await prepared(client, mine)).toMatchObject({ state: 'ready' })
    const answers = await besideSwapper(async () => {
      const seen: unknown[] = []
      for (let round = 0; round < 30; round += 1) {
        const order = await replacement(mine, round % 2 === 0 ? 'b' : 'a')
        seen.push(await answer(prepared(client, order)))
      }
      return seen
    })
    // Without one that went through nothing was raced.
    expect(answers.map(stateOf)).toContain('ready')
  })

  test('the agent says how the VM is and lists its disks', async () => {
    expect(await prepared(client, mine)).toMatchObject({ state: 'ready' })
    let connections = 0
    const listener = createServer((socket) => {
      connections += 1
      socket.end(secret)
    }).listen(root.controlSocket(other.uid))
    cleanups.push(() => listener.close())
    chmodSync(root.controlSocket(other.uid), 0o660)
    chownSync(root.controlSocket(other.uid), runnerUid, sharedGid)
    const leadTo = victims()
    const opened = trap(leadTo.symbolic.filter((path) => lstatSync(path).isFile()))
    const hostile = await swapper({ ...leadTo, symbolic: [...leadTo.symbolic, root.controlSocket(other.uid), root.adminSocket] })
    const brokerConnections = broker.connections
    const answers: unknown[] = []
    for (let round = 0; round < 150; round += 1) {
      answers.push(await answer(client.vm(mine.uid)), await answer(client.instances()))
    }
    await hostile.end()
    expect([connections, broker.connections, opened()]).toEqual([0, brokerConnections, []])
    expect(JSON.stringify(answers)).not.toContain(secret)
  })

  test('the agent deletes the disks, and leaves none that nobody can name', async () => {
    expect(await prepared(client, mine)).toMatchObject({ state: 'ready' })
    const { uid, vm, cluster } = mine
    const remove = (): Promise<unknown> => answer(client.deleteDisks({ version: 1, uid, vm, cluster }))
    await besideSwapper(async () => {
      const seen: unknown[] = []
      for (let round = 0; round < 50 && seen.every((one) => stateOf(one) !== 'gone'); round += 1) seen.push(await remove())
      return seen
    })
    await eventually(async () => (stateOf(await remove()) === 'gone' ? true : undefined))
    const left = (await client.instances()).filter((one) => one.uid === uid)
    expect(left.flatMap((one) => one.disks)).toEqual([])
  })

  test('the broker looks whether a QEMU has a disk open', async () => {
    expect(await prepared(client, mine)).toMatchObject({ state: 'ready' })
    // The other VM runs: its lock must not be taken for one of this VM.
    const qemu = spawn('qemu-io', ['-f', 'qcow2', root.diskFile(other.uid, 'root')], { stdio: ['pipe', 'ignore', 'ignore'] })
    cleanups.push(() => ended(qemu))
    const probe = `
      const { imageLocks } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/adapters/linux/image-lock.ts'))})
      const { loadLibc } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/adapters/linux/libc.ts'))})
      const { layout } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/api/layout.ts'))})
      const locks = imageLocks(loadLibc(), layout(${JSON.stringify(root.root)}))
      const said = new Set()
      for (let round = 0; round < 3000; round += 1) said.add(await locks.locked(${JSON.stringify(mine.uid)}))
      process.stdout.write(JSON.stringify([...said].map(String)))`
    const leadTo = victims()
    const before = worldOutside()
    const opened = trap([join(root.disks(other.uid), 'victim')])
    const hostile = await swapper({ ...leadTo, hard: [] })
    // As the broker runs: uid 0 with the shared group and without any right over files.
    const rights = ['--groups', String(sharedGid), '--bounding-set', '-all', '--inh-caps', '-all', '--no-new-privs']
    const said = JSON.parse(
      execFileSync('setpriv', [...rights, process.execPath, '--input-type=module', '-e', probe], { encoding: 'utf8', timeout: 120_000 }),
    ) as string[]
    await hostile.end()
    expect(said.filter((one) => one.includes('has it open'))).toEqual([])
    expect([opened(), Object.fromEntries(worldOutside())]).toEqual([[], Object.fromEntries(before)])
  })
})

describe('a disk that a process has open', () => {
  test('is neither replaced nor deleted, although its runner gave up the lock, the lease and the control socket', async () => {
    expect(await prepared(client, mine)).toMatchObject({ state: 'ready' })
    const disk = root.diskFile(mine.uid, 'root')
    const script = `const { openSync } = await import('node:fs'); openSync(${JSON.stringify(disk)}, 'r+'); process.stdout.write('open'); setInterval(() => 0, 1000)`
    const drop = ['--reuid', String(runnerUid), '--regid', String(sharedGid), '--clear-groups']
    const frozen = spawn('setpriv', [...drop, process.execPath, '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    cleanups.push(() => ended(frozen))
    await new Promise((resolve) => frozen.stdout.once('data', resolve))
    const { ino } = lstatSync(disk)
    const order = await replacement(mine, 'b')
    expect(order.replaceDisks).toHaveLength(1)
    expect(await prepared(client, order)).toMatchObject({ state: 'failed', reason: 'DiskInUse' })
    const { uid, vm, cluster } = mine
    expect(await client.deleteDisks({ version: 1, uid, vm, cluster })).toMatchObject({ state: 'waiting', reason: 'DiskInUse' })
    expect(lstatSync(disk).ino).toBe(ino)
    await ended(frozen)
    expect(await prepared(client, order)).toMatchObject({ state: 'ready' })
    expect(lstatSync(disk).ino).not.toBe(ino)
  })
})

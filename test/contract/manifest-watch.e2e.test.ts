import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../lab/run.ts'
import { overlayIn } from './directory/overlay.ts'

/** The watcher in a process of its own, on a real file system. */
const program = join(import.meta.dirname, 'directory/watcher.ts')
const pollMs = 100
/** No hint for so long: whatever was to be said about earlier changes is said. */
const quietMs = 250

let root: string
let watcher: ChildProcess | undefined
const seen = { hints: 0 }
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'sv-watch-')))
})
afterEach(() => {
  watcher?.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

/** Before the watcher's own arguments: another program that starts it. */
function watch(path: string, polling: boolean, starter: readonly string[] = []): void {
  const [command, ...args] = [...starter, process.execPath, program, path, String(polling), String(pollMs)]
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  seen.hints = 0
  child.stdout.on('data', (chunk: Buffer) => (seen.hints += chunk.toString('utf8').split('\n').length - 1))
  watcher = child
}

async function quiet(): Promise<void> {
  for (let before = -1; before !== seen.hints; await sleep(quietMs)) before = seen.hints
}

/** Changes something that is there, until it is noticed: nothing tells that a watcher has begun. */
async function begun(change: (count: number) => void): Promise<void> {
  let count = 0
  await until(
    'the first hint',
    20_000,
    async () => {
      change((count += 1))
      return seen.hints > 0 ? true : undefined
    },
    200,
  )
  await quiet()
}

/** Makes each change once, and gives those that were followed by no hint. */
async function unnoticed(changes: Readonly<Record<string, () => void>>): Promise<readonly string[]> {
  const missed: string[] = []
  for (const [what, change] of Object.entries(changes)) {
    await quiet()
    const before = seen.hints
    change()
    for (let looks = 0; looks < 250 && seen.hints === before; looks += 1) await sleep(20)
    if (seen.hints === before) missed.push(what)
  }
  return missed
}

function put(path: string, text: string): void {
  writeFileSync(join(root, path), text)
}

function swap(link: string, target: string): void {
  symlinkSync(target, join(root, `${link}.new`))
  renameSync(join(root, `${link}.new`), join(root, link))
}

describe.each([
  ['inotify', false],
  ['polling', true],
] as const)('a watched directory, by %s', (_by, polling) => {
  it('reports files that are created, edited, renamed and removed in it and below', async () => {
    mkdirSync(join(root, 'vms/team'), { recursive: true })
    watch(join(root, 'vms'), polling)
    await begun((count) => put('vms/begin.yaml', String(count)))
    put('db.partial', 'by an editor')
    expect(
      await unnoticed({
        'a new file': () => put('vms/web.yaml', 'a'),
        'an edit in place': () => put('vms/web.yaml', 'longer'),
        'a new file below': () => put('vms/team/db.yaml', 'a'),
        'an edit below': () => put('vms/team/db.yaml', 'longer'),
        'a file renamed over another': () => renameSync(join(root, 'db.partial'), join(root, 'vms/team/db.yaml')),
        'a removal': () => rmSync(join(root, 'vms/web.yaml')),
      }),
    ).toEqual([])
  })

  it('hints at each swap of git-sync, also of a directory below the link, and goes on behind it', async () => {
    for (const commit of ['1', '2', '3']) {
      mkdirSync(join(root, '.worktrees', commit, 'vms'), { recursive: true })
      put(`.worktrees/${commit}/vms/web.yaml`, commit)
    }
    swap('current', '.worktrees/1')
    watch(join(root, 'current/vms'), polling)
    await begun((count) => put('.worktrees/1/vms/begin.yaml', String(count)))
    expect(
      await unnoticed({
        'a swap': () => swap('current', '.worktrees/2'),
        'two swaps at once': () => {
          swap('current', '.worktrees/1')
          swap('current', '.worktrees/3')
        },
        'an edit behind the new link': () => put('.worktrees/3/vms/web.yaml', 'longer'),
        'a swap back': () => swap('current', '.worktrees/1'),
      }),
    ).toEqual([])
  })

  it('hints at the swap of a ConfigMap', async () => {
    for (const version of ['..1', '..2']) {
      mkdirSync(join(root, version))
      put(`${version}/web.yaml`, version)
    }
    swap('..data', '..1')
    symlinkSync('..data/web.yaml', join(root, 'web.yaml'))
    watch(root, polling)
    await begun((count) => put('begin.yaml', String(count)))
    expect(
      await unnoticed({
        'a swap': () => swap('..data', '..2'),
        'a swap back': () => swap('..data', '..1'),
      }),
    ).toEqual([])
  })

  it('hints when it goes, when it comes back, and at changes after that', async () => {
    const path = join(root, 'vms')
    mkdirSync(path)
    watch(path, polling)
    await begun((count) => put('vms/begin.yaml', String(count)))
    expect(
      await unnoticed({
        'its end': () => rmSync(path, { recursive: true }),
        'its return': () => mkdirSync(path),
        'a new file': () => put('vms/web.yaml', 'a'),
        'an edit in place': () => put('vms/web.yaml', 'longer'),
      }),
    ).toEqual([])
  })

  it('hints when it is there at last', async () => {
    const path = join(root, 'mounted/later')
    watch(path, polling)
    await sleep(1_000)
    expect(
      await unnoticed({
        'its beginning': () => mkdirSync(path, { recursive: true }),
        'a new file': () => put('mounted/later/web.yaml', 'a'),
      }),
    ).toEqual([])
  })
})

describe('a file system that tells inotify nothing', () => {
  it('is seen by polling', async () => {
    const { merged, starter } = overlayIn(root)
    put('beneath/team/web.yaml', '0')
    watch(merged, true, starter)
    await begun((count) => put('beneath/team/web.yaml', '.'.repeat(count)))
    expect(
      await unnoticed({
        'an edit in place': () => put('beneath/team/web.yaml', 'some other length'),
        'a new file': () => put('beneath/team/db.yaml', 'a'),
      }),
    ).toEqual([])
  })

  it('is not seen without it: that is what polling is for', async () => {
    const { merged, starter } = overlayIn(root)
    put('beneath/team/web.yaml', '0')
    watch(merged, false, starter)
    // The root itself is checked with stat, even if inotify is available.
    await begun((count) => put(`beneath/begin-${count}.yaml`, 'a'))
    const before = seen.hints
    put('beneath/team/web.yaml', 'some other length')
    await sleep(1_500)
    expect(seen.hints).toBe(before)
  })
})

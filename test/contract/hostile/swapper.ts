import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { basename, join } from 'node:path'

/**
 * A runner that a guest took over: as uid 30702 it swaps whatever lies in its directories for something else and back, as fast as it can, until it
 * is killed. Arguments: its instance directory, a scratch directory of its own, and as JSON what its symbolic and its hard links lead to. Hard links
 * to another VM's files are more than a runner can make: its mount ends at its own directory.
 */
const [instance = '', scratch = '', symbolic = '[]', hard = '[]'] = process.argv.slice(2)
const victims = JSON.parse(symbolic) as string[]
const directories = ['disks', 'run'].map((name) => join(instance, name))
/** Names that somebody asks for although nothing lies there just now. */
const wanted = ['disks/root.qcow2', 'disks/main.qcow2', 'run/control.sock'].map((name) => join(instance, name))
const hidden = '.mine-'
let count = 0

function attempt(work: () => void): boolean {
  try {
    work()
    return true
  } catch {
    // Somebody else was faster, or the kernel refuses: the next one is tried.
    return false
  }
}

execFileSync('mkfifo', [join(scratch, 'fifo')])
createServer().listen(join(scratch, 'socket'))

const decoys: readonly ((path: string) => void)[] = [
  ...victims.map((victim) => (path: string) => symlinkSync(victim, path)),
  ...(JSON.parse(hard) as string[]).map((victim) => (path: string) => linkSync(victim, path)),
  (path) => linkSync(join(scratch, 'fifo'), path),
  (path) => linkSync(join(scratch, 'socket'), path),
  (path) => mkdirSync(path),
  (path) => writeFileSync(path, 'not a disk', { mode: 0, flag: 'wx' }),
]

/** Leaves a decoy under the name for a moment. */
function swap(path: string): void {
  count += 1
  const aside = join(path, '..', `${hidden}${basename(path)}`)
  const wasThere = attempt(() => renameSync(path, aside))
  const decoy = decoys[count % decoys.length]
  const isPlaced = attempt(() => decoy?.(path))
  for (let spin = 0; spin < 20_000; spin += 1) void spin
  if (isPlaced) attempt(() => rmSync(path, { recursive: true, force: true }))
  if (wasThere) attempt(() => renameSync(aside, path))
}

/** Replaces each new file by a link permanently: a tool that opens its path a second time follows it. */
function replaceNew(path: string): void {
  count += 1
  const victim = victims[count % victims.length] ?? ''
  if (attempt(() => rmSync(path, { recursive: true }))) attempt(() => symlinkSync(victim, path))
}

function intrude(): void {
  for (const name of ['work', 'images', '.']) {
    const path = join(instance, name, 'intruder')
    if (attempt(() => writeFileSync(path, '', { flag: 'wx' }))) process.stdout.write(`intruded ${path}\n`)
  }
}

function turn(): void {
  for (let round = 0; round < 200; round += 1) {
    for (const directory of directories) {
      const names = attemptList(directory)
      for (const name of names) {
        const path = join(directory, name)
        if (name.startsWith(hidden)) continue
        if (wanted.includes(path)) swap(path)
        else replaceNew(path)
      }
    }
    for (const path of wanted) swap(path)
    intrude()
  }
  setImmediate(turn)
}

function attemptList(directory: string): string[] {
  let names: string[] = []
  attempt(() => (names = readdirSync(directory)))
  return names
}

process.stdout.write('swapping\n')
turn()

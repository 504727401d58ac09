/**
 * Cgroups are how the lab knows its own processes: `up` joins the lab's cgroup before it starts anything, children are
 * born into it, and containers live under the node's. So a process is on record before it exists, even when `up` is
 * killed half-way.
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cgroupNames, type LabLayout } from './layout.ts'

const mount = '/sys/fs/cgroup'

function exists(path: string): boolean {
  try {
    readdirSync(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

export function isCgroupV2(): boolean {
  return !exists(join(mount, 'pids')) && !exists(join(mount, 'devices'))
}

/** The roots of all hierarchies: one on cgroup v2, one per controller on v1. */
function hierarchies(): string[] {
  if (isCgroupV2()) return [mount]
  return readdirSync(mount, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(mount, entry.name))
}

/** The directory whose cgroup.procs a process of the lab writes itself into. On v1 any one hierarchy will do. */
function cgroupDir(name: string): string {
  return isCgroupV2() ? join(mount, name) : join(mount, 'pids', name)
}

export function makeCgroup(name: string): void {
  mkdirSync(cgroupDir(name), { recursive: true })
}

/** Puts this process, and so all its later children, into a cgroup of the lab. */
export function joinCgroup(name: string): void {
  makeCgroup(name)
  writeFileSync(join(cgroupDir(name), 'cgroup.procs'), String(process.pid))
}

/** The command, started by way of a cgroup that exists: it is a member before it is anything else. */
export function inCgroup(name: string, argv: readonly string[]): string[] {
  return ['/bin/sh', '-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', cgroupDir(name), ...argv]
}

/** A directory and all below it, deepest first. */
function tree(dir: string): string[] {
  try {
    const below = readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    return [...below.flatMap((entry) => tree(join(dir, entry.name))), dir]
  } catch (error) {
    // Its last process ended, and its creator removed it.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** All directories of these cgroups, in every hierarchy, deepest first. */
export function cgroupDirs(names: readonly string[]): string[] {
  return hierarchies().flatMap((root) => names.flatMap((name) => tree(join(root, name))))
}

export function labCgroupDirs(layout: LabLayout): string[] {
  return cgroupDirs(cgroupNames(layout))
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
  } catch (error) {
    // ENODEV: the cgroup was removed while its file was open.
    if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw error
  }
}

export function cgroupPids(dirs: readonly string[]): Set<number> {
  return new Set(dirs.flatMap((dir) => readLines(join(dir, 'cgroup.procs')).map(Number)))
}

/** Paused containers do not die of SIGKILL on v1 until they are thawed. */
export function thaw(dirs: readonly string[]): void {
  for (const dir of dirs) {
    if (readLines(join(dir, 'freezer.state')).includes('FROZEN')) writeFileSync(join(dir, 'freezer.state'), 'THAWED')
  }
}

/** Removes emptied cgroups. The kernel lets go of the last member a moment after it died. */
export async function removeCgroups(names: readonly string[], timeoutMs: number): Promise<void> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const left = cgroupDirs(names).filter((dir) => !tryRmdir(dir))
    if (left.length === 0) return
    if (performance.now() > end) throw new Error(`cgroups still busy: ${left.join(' ')}`)
    await sleep(20)
  }
}

function tryRmdir(dir: string): boolean {
  try {
    rmdirSync(dir)
    return true
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT') return true
    if (code === 'EBUSY' || code === 'ENOTEMPTY') return false
    throw error
  }
}

/** Processes as /proc shows them. A pid alone is no identity, so it is always kept with its start time. */
import { mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LabLayout } from './layout.ts'

export type ProcessId = { readonly pid: number; readonly startTime: string }

function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command name is in parentheses and may hold anything, so fields are counted from the last one.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ENOENT' || code === 'ESRCH'
}

/** The process that has this pid now; undefined when none lives. A zombie is dead. See proc(5), fields 3 and 22. */
export function processNow(pid: number): ProcessId | undefined {
  const fields = statFields(pid)
  const startTime = fields?.[19]
  if (startTime === undefined || fields?.[0] === 'Z' || fields?.[0] === 'X') return undefined
  return { pid, startTime }
}

export function isAlive(id: ProcessId): boolean {
  return processNow(id.pid)?.startTime === id.startTime
}

/** Signals the process if it is still the one that was meant; false when it is gone. */
export function signal(id: ProcessId, name: NodeJS.Signals): boolean {
  if (!isAlive(id)) return false
  try {
    process.kill(id.pid, name)
    return true
  } catch (error) {
    if (isGone(error)) return false
    throw error
  }
}

export function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

/** This process and those above it: what no clean-up may ever end. */
export function selfAndAncestors(): Set<number> {
  const pids = new Set([0, 1])
  for (let pid = process.pid; pid > 1 && !pids.has(pid); pid = Number(statFields(pid)?.[1] ?? 0)) pids.add(pid)
  return pids
}

/** The identity of a process's namespace, as `net:[4026531840]`; undefined when the process is gone. */
export function namespaceOf(pid: number, kind: 'net' | 'mnt'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`)
  } catch (error) {
    if (isGone(error) || (error as NodeJS.ErrnoException).code === 'EACCES') return undefined
    throw error
  }
}

/** The identity of a named network namespace; undefined when there is none of that name. */
export function namedNetns(name: string): string | undefined {
  try {
    return `net:[${statSync(`/run/netns/${name}`).ino}]`
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

/** Writes down who does a job of the lab (`n1.holder`, `n1.dockerd`, `dnsmasq` …), whole or not at all. */
export function writeRecord(layout: LabLayout, job: string, pid: number): ProcessId {
  const id = processNow(pid)
  if (id === undefined) throw new Error(`${job} ended at once`)
  mkdirSync(layout.records, { recursive: true })
  const path = join(layout.records, `${job}.json`)
  writeFileSync(`${path}.new`, JSON.stringify(id))
  renameSync(`${path}.new`, path)
  return id
}

/** The living process that does a job, undefined when there is none. */
export function readRecord(layout: LabLayout, job: string): ProcessId | undefined {
  try {
    const id = JSON.parse(readFileSync(join(layout.records, `${job}.json`), 'utf8')) as ProcessId
    return isAlive(id) ? id : undefined
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

export function dropRecord(layout: LabLayout, job: string): void {
  rmSync(join(layout.records, `${job}.json`), { force: true })
}

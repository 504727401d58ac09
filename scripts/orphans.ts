/** Ends suites whose runner was killed. They would otherwise continue and use the lab of the next run. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive, type ProcessId, processNow, selfAndAncestors } from '../test/lab/processes.ts'

interface Leash {
  readonly runner: ProcessId
  /** Leader of its own process group. */
  readonly suite: ProcessId
  /** Names of the labs that the suite starts. */
  readonly labs: readonly string[]
}

/** Records that this process runs a suite. Returns a function that removes the record. */
export function leash(directory: string, pid: number | undefined, labs: readonly string[]): () => void {
  const [runner, suite] = [processNow(process.pid), pid === undefined ? undefined : processNow(pid)]
  if (runner === undefined || suite === undefined) return () => undefined
  const file = join(directory, `runner-${process.pid}-${suite.pid}.json`)
  writeFileSync(file, JSON.stringify({ runner, suite, labs } satisfies Leash))
  return () => rmSync(file, { force: true })
}

/** Ends the suites of dead runners, and their labs. Keeps suites of live runners. */
export async function endOrphans(directory: string, endLabs: (labs: readonly string[]) => Promise<void>): Promise<void> {
  for (const name of readdirSync(directory).filter((one) => /^runner-[\d-]+\.json$/.test(one))) {
    const file = join(directory, name)
    const { runner, suite, labs = [] } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Leash> & Omit<Leash, 'labs'>
    if (isAlive(runner)) continue
    if (isAlive(suite)) {
      process.stdout.write(`ending a suite whose runner was killed (process group ${suite.pid})\n`)
      process.kill(-suite.pid, 'SIGKILL')
    }
    await endLabs(labs)
    rmSync(file)
  }
}

/**
 * Calls back once when npm, or a process between it and this one, was killed, so that nobody waits for the result. Returns a function that ends the
 * watch.
 */
export function whenForsaken(callback: () => void): () => void {
  // 0, 1 and this process come first, followed by bootstrap, npm's shell and npm.
  const callers = [...selfAndAncestors()].slice(3, 6).flatMap((pid) => processNow(pid) ?? [])
  const timer = setInterval(() => {
    if (callers.every(isAlive)) return
    clearInterval(timer)
    callback()
  }, 500)
  return () => clearInterval(timer)
}

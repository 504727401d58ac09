/** Runs one test suite as a process group, ends it when it stalls or is cancelled, and takes down its remaining labs. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { leash } from './orphans.ts'
import type { Suite } from './suites.ts'

export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export interface RunSuiteOptions {
  /** Directory for records of running suites, so that the next run can end leftovers. */
  readonly directory: string
  /** Milliseconds without a line of output after which the suite counts as hung. */
  readonly stallMs: number
  /** Takes down what is left of these labs. */
  readonly endLabs: (labs: readonly string[]) => Promise<void>
  /** Aborting ends the suite, which then counts as failed. */
  readonly signal: AbortSignal
}

export const none: Counts = { passed: 0, failed: 0, skipped: 0 }

export function add(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped }
}

/** Calls `onStall` once after `ms` without a call of `progress`. */
export function stallGuard(ms: number, onStall: () => void): { progress(): void; stop(): void } {
  const timer = setTimeout(onStall, ms)
  return { progress: () => void timer.refresh(), stop: () => clearTimeout(timer) }
}

export function runSuite(suite: Suite, options: RunSuiteOptions): Promise<Counts> {
  const scratch = mkdtempSync(join(tmpdir(), 'swarmvirt-test-'))
  const json = join(scratch, 'counts.json')
  const [program = '', ...args] =
    suite.counts === 'vitest' ? [...suite.command, '--reporter=json', `--outputFile.json=${json}`] : suite.command
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const unleash = leash(options.directory, child.pid, suite.labs)
    let output = ''
    const guard = stallGuard(options.stallMs, () => {
      process.stdout.write(`\n${suite.name}: no output for ${Math.round(options.stallMs / 60_000)} min, ended\n`)
      endGroup(child)
    })
    child.stdout.on('data', (chunk: Buffer) => {
      guard.progress()
      output += chunk.toString('utf8')
    })
    child.stderr.on('data', () => guard.progress())
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on('line', (line) => process.stdout.write(`${suite.name.padEnd(10)} ${line}\n`))
    const end = (): void => endGroup(child)
    options.signal.addEventListener('abort', end, { once: true })
    const settle = async (code: number | null): Promise<Counts> => {
      // A crashed test runner leaves its workers, and they hold the lab.
      endGroup(child)
      await options.endLabs(suite.labs)
      unleash()
      const counts = suite.counts === 'vitest' ? countVitest(json) : countLines(output)
      rmSync(scratch, { recursive: true, force: true })
      // A crashed suite, or an error outside any test, is a failure even if all counted tests passed.
      return code !== 0 && counts.failed === 0 ? add(counts, { ...none, failed: 1 }) : counts
    }
    child.once('error', reject)
    child.once('close', (code) => {
      guard.stop()
      options.signal.removeEventListener('abort', end)
      settle(code).then(resolve, reject)
    })
  })
}

/** Ends the suite's whole process group, since vitest's workers hold the lab's children. */
function endGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (error) {
    // The process group is empty.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function countVitest(file: string): Counts {
  if (!existsSync(file)) return none
  const report = JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>
  return {
    passed: report['numPassedTests'] ?? 0,
    failed: report['numFailedTests'] ?? 0,
    skipped: (report['numPendingTests'] ?? 0) + (report['numTodoTests'] ?? 0),
  }
}

function countLines(output: string): Counts {
  return { passed: output.match(/^ok {4}/gm)?.length ?? 0, failed: output.match(/^FAILED /gm)?.length ?? 0, skipped: 0 }
}

// `npm test` runs every quick suite; `npm run test:full` also the long ones, and goes on where it stopped. Suites can be named, and `--minutes N` makes a piece.
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { run } from '../test/lab/run.ts'
import { cacheDir } from '../test/lab/layout.ts'
import { endOrphans, leash, whenForsaken } from './orphans.ts'
import { fullSuites, quickSuites, type Suite } from './suites.ts'

interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}
type Results = Readonly<Record<string, Counts & { readonly seconds: number }>>

const directory = join(cacheDir(process.env), 'test-full')
const none: Counts = { passed: 0, failed: 0, skipped: 0 }

function add(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped }
}

/** Ends the suite's whole process group: vitest's workers hold the lab's children. */
function end(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (error) {
    // Gone between the look and the signal.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function runSuite(suite: Suite): Promise<Counts> {
  const scratch = mkdtempSync(join(tmpdir(), 'swarmvirt-test-'))
  const json = join(scratch, 'counts.json')
  const reporters = suite.counts === 'vitest' ? ['--reporter=default', '--reporter=json', `--outputFile.json=${json}`] : []
  const [program = '', ...args] = [...suite.command, ...reporters]
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
    const unleash = leash(directory, child.pid)
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8')
      process.stdout.write(chunk)
    })
    const timer = setTimeout(() => {
      process.stdout.write(`\n${suite.name}: over its budget of ${suite.budgetMinutes} min, ended\n`)
      end(child)
    }, suite.budgetMinutes * 60_000)
    const onSignal = (): void => {
      end(child)
      unleash()
      process.exit(130)
    }
    process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
    const stopWatching = whenForsaken(onSignal)
    child.once('close', (code) => {
      clearTimeout(timer)
      stopWatching()
      unleash()
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
      const counts = suite.counts === 'vitest' ? countVitest(json) : countLines(output)
      rmSync(scratch, { recursive: true, force: true })
      // A suite that died, or whose runner found an error outside any test, is a failure even where every test it counted passed.
      resolve(code !== 0 && counts.failed === 0 ? add(counts, { ...none, failed: 1 }) : counts)
    })
  })
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

/** Results of `test:full` belong to what is checked out: HEAD and every change on top. */
async function progressFile(): Promise<string> {
  const state = await Promise.all([run(['git', 'rev-parse', 'HEAD']), run(['git', 'diff', 'HEAD']), run(['git', 'status', '--porcelain'])])
  const key = createHash('sha256')
    .update(state.map((one) => one.stdout).join('\0'))
    .digest('hex')
    .slice(0, 16)
  return join(directory, `${key}.json`)
}

/** Seconds that each suite took when it last passed on this machine, whatever was checked out. */
const durations = {
  file: join(directory, 'durations.json'),
  read(): Readonly<Record<string, number>> {
    return existsSync(this.file) ? (JSON.parse(readFileSync(this.file, 'utf8')) as Record<string, number>) : {}
  },
  keep(name: string, seconds: number): void {
    writeFileSync(this.file, JSON.stringify({ ...this.read(), [name]: Math.round(seconds) }))
  },
}

/** A suite is begun where it should end in time. The first one of a piece always is, or nothing would ever go on. */
function fits(suite: Suite, elapsedMinutes: number, minutes: number): boolean {
  const seconds = durations.read()[suite.name]
  const needed = seconds === undefined ? suite.budgetMinutes : (1.2 * seconds) / 60
  return elapsedMinutes + needed <= minutes
}

interface Asked {
  readonly minutes: number
  /** All of them where none is named. */
  readonly suites: readonly Suite[]
}

/** `--minutes N` and names of suites; undefined where it is anything else. */
function askedBy(args: readonly string[], all: readonly Suite[]): Asked | undefined {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: { minutes: { type: 'string' } }, allowPositionals: true })
    const minutes = values.minutes === undefined ? Number.POSITIVE_INFINITY : Number(values.minutes)
    const suites = positionals.length === 0 ? all : all.filter(({ name }) => positionals.includes(name))
    return minutes > 0 && suites.length === (positionals.length || all.length) ? { minutes, suites } : undefined
  } catch {
    return undefined
  }
}

async function main([kind, ...args]: readonly string[]): Promise<void> {
  const full = kind === 'full'
  const all = full ? fullSuites : quickSuites
  const asked = askedBy(full ? args : [kind, ...args].filter((one) => one !== undefined), all)
  if (asked === undefined) {
    const names = all.map(({ name }) => JSON.stringify(name)).join(' ')
    process.stderr.write(`usage: npm ${full ? 'run test:full' : 'test'} -- [--minutes N] [SUITE ...]\nsuites: ${names}\n`)
    process.exitCode = 2
    return
  }
  const { minutes, suites } = asked
  mkdirSync(directory, { recursive: true })
  endOrphans(directory)
  const file = full ? await progressFile() : undefined
  let results: Results = file !== undefined && existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Results) : {}
  const begun = performance.now()
  let ran = 0
  for (const suite of suites.filter((one) => !((results[one.name]?.failed ?? 1) === 0))) {
    if (ran > 0 && !fits(suite, (performance.now() - begun) / 60_000, minutes)) continue
    ran += 1
    process.stdout.write(`\n=== ${suite.name}: ${suite.what} (budget ${suite.budgetMinutes} min)\n`)
    const started = performance.now()
    const counts = await runSuite(suite)
    const seconds = (performance.now() - started) / 1000
    results = { ...results, [suite.name]: { ...counts, seconds } }
    if (counts.failed === 0) durations.keep(suite.name, seconds)
    if (file !== undefined) writeFileSync(file, JSON.stringify(results))
  }
  summary(results, all)
}

function summary(results: Results, suites: readonly Suite[]): void {
  process.stdout.write('\n')
  for (const suite of suites) {
    const one = results[suite.name]
    const text =
      one === undefined
        ? 'not run yet'
        : `${one.passed} passed, ${one.failed} failed, ${one.skipped} skipped in ${one.seconds.toFixed(0)} s`
    process.stdout.write(`${suite.name.padEnd(10)}${text}\n`)
  }
  const total = Object.values(results).reduce<Counts>((sum, one) => add(sum, one), none)
  process.stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`)
  process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1
}

void main(process.argv.slice(2))

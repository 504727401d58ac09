// `npm test` runs every quick suite, two at a time. `npm run test:full` also runs the long ones, one at a time, and resumes where it stopped. Suites
// can be named, and `--minutes N` limits a run.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Argument, InvalidArgumentError } from 'commander'
import { labLeftovers } from '../test/lab/lab.ts'
import { cacheDir } from '../test/lab/layout.ts'
import { run } from '../test/lab/run.ts'
import { endOrphans, whenForsaken } from './orphans.ts'
import { programNamed } from './program.ts'
import { add, type Counts, none, runSuite } from './run-suite.ts'
import { sideBySide } from './side-by-side.ts'
import { fullSuites, quickSuites, type Suite } from './suites.ts'

type Results = Readonly<Record<string, Counts & { readonly seconds: number }>>

const directory = join(cacheDir(process.env), 'test-full')
/** Longer than vitest's longest hook timeout (vitest.config.ts), so that vitest ends a hung test itself and names it. */
const stallMs = 12 * 60_000

/** Uses the lab's own command, like a user of the lab. */
async function endLabs(labs: readonly string[]): Promise<void> {
  for (const lab of labs) {
    if (labLeftovers(lab).length === 0) continue
    process.stdout.write(`taking down lab "${lab}", which a suite left\n`)
    const { code, stderr } = await run(['node', 'test/lab/main.ts', 'down', '--lab', lab])
    if (code !== 0) process.stdout.write(`lab "${lab}" could not be taken down:\n${stderr}\n`)
  }
}

/** Results of `test:full` belong to the checked-out state: HEAD and every change on top. */
async function progressFile(): Promise<string> {
  const state = await Promise.all([run(['git', 'rev-parse', 'HEAD']), run(['git', 'diff', 'HEAD']), run(['git', 'status', '--porcelain'])])
  const key = createHash('sha256')
    .update(state.map((one) => one.stdout).join('\0'))
    .digest('hex')
    .slice(0, 16)
  return join(directory, `${key}.json`)
}

/** Duration of each suite's last passing run on this machine, in seconds. */
const durations = {
  file: join(directory, 'durations.json'),
  read(): Readonly<Record<string, number>> {
    return existsSync(this.file) ? (JSON.parse(readFileSync(this.file, 'utf8')) as Record<string, number>) : {}
  },
  keep(name: string, seconds: number): void {
    writeFileSync(this.file, JSON.stringify({ ...this.read(), [name]: Math.round(seconds) }))
  },
}

/** A suite starts if it should end in time. The first one always starts, so that every run makes progress. */
function fits(suite: Suite, elapsedMinutes: number, minutes: number): boolean {
  const seconds = durations.read()[suite.name]
  const needed = seconds === undefined ? suite.expectedMinutes : (1.2 * seconds) / 60
  return elapsedMinutes + needed <= minutes
}

interface Asked {
  readonly full: boolean
  readonly minutes: number
  /** Names of suites or groups of pieces. Empty means all. */
  readonly names: readonly string[]
}

/** Aborted when a person or the caller ends this run. */
function untilStopped(): { readonly signal: AbortSignal; readonly unwatch: () => void } {
  const stop = new AbortController()
  const abort = (): void => stop.abort()
  process.once('SIGINT', abort).once('SIGTERM', abort)
  return { signal: stop.signal, unwatch: whenForsaken(abort) }
}

async function main({ full, minutes, names }: Asked): Promise<void> {
  const all = full ? fullSuites : quickSuites
  const suites = all.filter((one) => names.length === 0 || callNames(one).some((name) => names.includes(name)))
  mkdirSync(directory, { recursive: true })
  await endOrphans(directory, endLabs)
  const file = full ? await progressFile() : undefined
  let results: Results = file !== undefined && existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Results) : {}
  const begun = performance.now()
  const { signal, unwatch } = untilStopped()
  let ran = 0
  const runOne = async (suite: Suite): Promise<void> => {
    if (signal.aborted || (ran > 0 && !fits(suite, (performance.now() - begun) / 60_000, minutes))) return
    ran += 1
    process.stdout.write(`\n=== ${suite.name}: ${suite.what}\n`)
    const started = performance.now()
    const counts = await runSuite(suite, { directory, stallMs, endLabs, signal })
    const seconds = (performance.now() - started) / 1000
    if (signal.aborted) return
    results = { ...results, [suite.name]: { ...counts, seconds } }
    if (counts.failed === 0) durations.keep(suite.name, seconds)
    if (file !== undefined) writeFileSync(file, JSON.stringify(results))
  }
  const left = suites.filter((one) => results[one.name]?.failed !== 0)
  await sideBySide(left, full ? 1 : 2, runOne)
  unwatch()
  if (signal.aborted) process.exit(130)
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

function minutesOf(text: string): number {
  const minutes = Number(text)
  if (!(minutes > 0)) throw new InvalidArgumentError('It must be a number above 0.')
  return minutes
}

/** `e2e` selects all of its pieces, `e2e 1/2` one of them. */
function callNames({ name }: Suite): readonly string[] {
  return [name.split(' ')[0] ?? name, name]
}

function suitesOf(suites: readonly Suite[]): Argument {
  return new Argument('[suites...]', 'default: all').choices([...new Set(suites.flatMap(callNames))])
}

function parsed(args: readonly string[]): Asked {
  const full = args[0] === 'full'
  const program = programNamed(`npm ${full ? 'run test:full' : 'test'} --`, 'Runs all test suites, or the named ones.')
  program.addArgument(suitesOf(full ? fullSuites : quickSuites))
  program.option('--minutes <number>', 'start no suite that would end later', minutesOf, Number.POSITIVE_INFINITY)
  program.parse(full ? args.slice(1) : args, { from: 'user' })
  return { full, minutes: program.opts<{ minutes: number }>().minutes, names: program.processedArgs[0] as string[] }
}

await main(parsed(process.argv.slice(2)))

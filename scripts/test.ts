// `npm test` runs every quick suite; `npm run test:full` also the long ones, and goes on where it stopped. Suites can be named, and `--minutes N` makes a piece.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Argument, InvalidArgumentError } from 'commander'
import { labLeftovers } from '../test/lab/lab.ts'
import { cacheDir } from '../test/lab/layout.ts'
import { run } from '../test/lab/run.ts'
import { endOrphans } from './orphans.ts'
import { programNamed } from './program.ts'
import { add, type Counts, none, runSuite } from './run-suite.ts'
import { fullSuites, quickSuites, type Suite } from './suites.ts'

type Results = Readonly<Record<string, Counts & { readonly seconds: number }>>

const directory = join(cacheDir(process.env), 'test-full')
/** Longer than vitest waits for the longest hook (vitest.config.ts), so that it ends a hung test itself and says which. */
const stallMs = 12 * 60_000

/** By the lab's own program, as whoever uses the lab would do it. */
async function endLabs(labs: readonly string[]): Promise<void> {
  for (const lab of labs) {
    if (labLeftovers(lab).length === 0) continue
    process.stdout.write(`taking down lab "${lab}", which a suite left\n`)
    const { code, stderr } = await run(['node', 'test/lab/main.ts', 'down', '--lab', lab])
    if (code !== 0) process.stdout.write(`lab "${lab}" could not be taken down:\n${stderr}\n`)
  }
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
  const needed = seconds === undefined ? suite.expectedMinutes : (1.2 * seconds) / 60
  return elapsedMinutes + needed <= minutes
}

interface Asked {
  readonly full: boolean
  readonly minutes: number
  /** Names of suites; all of them where none is named. */
  readonly names: readonly string[]
}

async function main({ full, minutes, names }: Asked): Promise<void> {
  const all = full ? fullSuites : quickSuites
  const suites = all.filter(({ name }) => names.length === 0 || names.includes(name))
  mkdirSync(directory, { recursive: true })
  await endOrphans(directory, endLabs)
  const file = full ? await progressFile() : undefined
  let results: Results = file !== undefined && existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Results) : {}
  const begun = performance.now()
  let ran = 0
  for (const suite of suites.filter((one) => !((results[one.name]?.failed ?? 1) === 0))) {
    if (ran > 0 && !fits(suite, (performance.now() - begun) / 60_000, minutes)) continue
    ran += 1
    process.stdout.write(`\n=== ${suite.name}: ${suite.what}\n`)
    const started = performance.now()
    const counts = await runSuite(suite, { directory, stallMs, endLabs })
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

function minutesOf(text: string): number {
  const minutes = Number(text)
  if (!(minutes > 0)) throw new InvalidArgumentError('It must be a number above 0.')
  return minutes
}

function suitesOf(suites: readonly Suite[]): Argument {
  return new Argument('[suites...]', 'default: all').choices(suites.map(({ name }) => name))
}

function parsed(args: readonly string[]): Asked {
  const full = args[0] === 'full'
  const program = programNamed(`npm ${full ? 'run test:full' : 'test'} --`, 'Runs the suites of tests, or those that are named.')
  program.addArgument(suitesOf(full ? fullSuites : quickSuites))
  program.option('--minutes <number>', 'begin no suite that would end later than that', minutesOf, Number.POSITIVE_INFINITY)
  program.parse(full ? args.slice(1) : args, { from: 'user' })
  return { full, minutes: program.opts<{ minutes: number }>().minutes, names: program.processedArgs[0] as string[] }
}

await main(parsed(process.argv.slice(2)))

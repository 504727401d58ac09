// `npm run simulate -- --seeds N --from S`: random faults in every scenario, one run for each seed. Every single fault of a kind with `--sweep
// crashes|write-crashes|double-crashes|agent-kills|double-agent-kills|calls|events|stale|stale-pairs` (`--every N`: each N-th, `--part 2/4`: a quarter of them), and a single run with `--scenario NAME --seed S --faults "call 12 crash-committed; window agent-away 3000 8000 1"`.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { InvalidArgumentError, Option } from 'commander'
import { integerFrom, type Part, parsePart, programNamed } from '../../scripts/program.ts'
import { type Fault, parseFaults } from './faults.ts'
import { type Job, type Report, report, runJobs, scenarioFor, scenarioNamed } from './jobs.ts'
import { faultsOf, simulate } from './simulate.ts'
import { scenarios } from './scenarios/index.ts'
import { sweepJobs, sweepKinds } from './sweeps.ts'

interface Values {
  readonly seeds: number
  readonly from: number
  readonly workers: number
  readonly sweep?: string
  readonly every: number
  readonly part: Part
  readonly scenario?: string
  readonly seed?: number
  readonly faults?: readonly Fault[]
  readonly untilFailure?: true
  readonly worker?: true
}

function faultsFrom(text: string): Fault[] {
  try {
    return parseFaults(text)
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
}

const program = programNamed('npm run simulate --', 'Runs the controller in the simulator: each seed is a scenario with random faults.')
  .option('--seeds <number>', 'so many seeds', integerFrom(1), 2_000)
  .option('--from <seed>', 'from this one', integerFrom(1), 1)
  .option('--workers <number>', 'processes', integerFrom(1), 2)
  .addOption(new Option('--sweep <kind>', 'every single fault of a kind instead of seeds').choices(sweepKinds))
  .option('--every <number>', 'of a sweep: only each n-th', integerFrom(1), 1)
  .option('--part <K/N>', 'of a sweep: only every N-th, from the K-th', parsePart, { which: 1, of: 1 })
  .addOption(new Option('--scenario <name>', 'only this scenario').choices(scenarios.map(({ name }) => name)))
  .option('--seed <seed>', 'one run, with its trace', integerFrom(1))
  .option('--faults <text>', 'its faults, such as "call 12 crash-committed; window agent-away 3000 8000 1"', faultsFrom)
  .option('--until-failure', 'stop at the first failure and print it as JSON')
  .addOption(new Option('--worker').hideHelp())
const values = program.parse().opts<Values>()

/** The share of one worker: every n-th job, so that none is left with the slow ones. */
function share(jobs: readonly Job[], worker: number, workers: number): Job[] {
  return jobs.filter((_one, index) => index % workers === worker)
}

async function jobs(): Promise<Job[]> {
  if (values.sweep !== undefined) return sweepJobs(values.sweep, values.every, values.part, values.scenario)
  return Array.from({ length: values.seeds }, (_one, index) => {
    const seed = values.from + index
    return { scenario: values.scenario ?? scenarioFor(seed).name, seed, faults: faultsOf(seed) }
  })
}

type Message = { readonly done: number } | { readonly report: Report }

function startWorker(work: readonly Job[], onDone: (runs: number) => void): Promise<Report> {
  return new Promise((resolve, reject) => {
    const child = fork(import.meta.filename, ['--worker'], { serialization: 'advanced' })
    child.on('message', (message: Message) => ('report' in message ? resolve(message.report) : onDone(message.done)))
    child.once('exit', (code) => reject(new Error(`a worker ended with ${code}`)))
    child.once('error', reject)
    child.send(work)
  })
}

/** One run, with all that happened in it. */
async function one(): Promise<void> {
  const seed = values.seed ?? values.from
  const scenario = values.scenario === undefined ? scenarioFor(seed) : scenarioNamed(values.scenario)
  const faults = values.faults ?? faultsOf(seed)
  const outcome = await simulate(scenario, seed, faults)
  process.stdout.write(`${outcome.trace.join('\n')}\n`)
  process.exitCode = outcome.violation === undefined ? 0 : 1
}

/** For planted bugs: which invariant notices, and how many seeds it takes. */
async function untilFailure(): Promise<void> {
  const all = await jobs()
  for (const [index, job] of all.entries()) {
    const { violation } = await simulate(scenarioNamed(job.scenario), job.seed, job.faults)
    if (violation === undefined) continue
    process.stdout.write(
      `${JSON.stringify({ invariant: violation.invariant, seeds: index + 1, scenario: job.scenario, message: violation.message })}\n`,
    )
    return
  }
  process.stdout.write(`${JSON.stringify({ seeds: all.length })}\n`)
}

async function many(): Promise<void> {
  const began = performance.now()
  const all = await jobs()
  const { workers } = values
  let done = 0
  const onDone = (runs: number): void => {
    done += runs
    process.stdout.write(`  ${done} of ${all.length}\n`)
  }
  const reports = await Promise.all(Array.from({ length: workers }, (_one, index) => startWorker(share(all, index, workers), onDone)))
  const failures = reports.flatMap((each) => each.failures)
  for (const failure of failures) process.stdout.write(`${failure}\n\n`)
  const total = (key: 'runs' | 'calls'): number => reports.reduce((sum, each) => sum + each[key], 0)
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  const failed = reports.reduce((sum, each) => sum + each.failed, 0)
  const summary = `${total('runs')} runs, ${total('calls')} calls, ${failed} failed in ${seconds} s`
  process.stdout.write(`${failed === 0 ? 'ok    ' : 'FAILED'} ${summary}
`)
  process.exitCode = failures.length === 0 ? 0 : 1
}

async function work(): Promise<void> {
  const [message] = (await once(process, 'message')) as [readonly Job[]]
  const send = (one: Message): boolean | undefined => process.send?.(one)
  const done = await runJobs(message, (runs) => send({ done: runs }))
  send({ report: report(done) })
  process.disconnect()
}

if (values.worker === true) await work()
else if (values.untilFailure === true) await untilFailure()
else await (values.seed === undefined ? many() : one())

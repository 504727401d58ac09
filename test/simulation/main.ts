// `npm run simulate -- --seeds N --from S`: random faults in every scenario, one run for each seed. Every single fault of a kind with `--sweep
// crashes|write-crashes|double-crashes|calls|events|stale|stale-pairs` (`--every N`: each N-th, `--part 2/4`: a quarter of them), and one run by itself with `--scenario NAME --seed S --faults "call 12 crash-committed; window agent-away 3000 8000 1"`.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { parseFault } from './faults.ts'
import { type Job, type Report, report, runJobs, scenarioFor, scenarioNamed } from './jobs.ts'
import { faultsOf, simulate } from './simulate.ts'
import { sweepJobs } from './sweeps.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '1' },
    workers: { type: 'string', default: '2' },
    sweep: { type: 'string' },
    every: { type: 'string', default: '1' },
    part: { type: 'string', default: '1/1' },
    scenario: { type: 'string' },
    seed: { type: 'string' },
    faults: { type: 'string' },
    trace: { type: 'boolean', default: false },
    'until-failure': { type: 'boolean', default: false },
    worker: { type: 'boolean', default: false },
  },
})

/** The share of one worker: every n-th job, so that none is left with the slow ones. */
function share(jobs: readonly Job[], worker: number, workers: number): Job[] {
  return jobs.filter((_one, index) => index % workers === worker)
}

async function jobs(): Promise<Job[]> {
  if (values.sweep !== undefined) return sweepJobs(values.sweep, Number(values.every), values.part, values.scenario)
  const from = Number(values.from)
  return Array.from({ length: Number(values.seeds) }, (_one, index) => {
    const seed = from + index
    return { scenario: values.scenario ?? scenarioFor(seed).name, seed, faults: faultsOf(seed) }
  })
}

function startWorker(work: readonly Job[]): Promise<Report> {
  return new Promise((resolve, reject) => {
    const child = fork(import.meta.filename, ['--worker'], { serialization: 'advanced' })
    child.once('message', (message) => resolve(message as Report))
    child.once('exit', (code) => reject(new Error(`a worker ended with ${code}`)))
    child.once('error', reject)
    child.send(work)
  })
}

/** One run, with all that happened in it. */
async function one(): Promise<void> {
  const seed = Number(values.seed ?? values.from)
  const scenario = values.scenario === undefined ? scenarioFor(seed) : scenarioNamed(values.scenario)
  const faults =
    values.faults === undefined
      ? faultsOf(seed)
      : values.faults
          .split(';')
          .filter((text) => text.trim() !== '')
          .map(parseFault)
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
  const workers = Number(values.workers)
  const reports = await Promise.all(Array.from({ length: workers }, (_one, index) => startWorker(share(all, index, workers))))
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
  process.send?.(report(await runJobs(message)))
  process.disconnect()
}

if (values.worker) await work()
else if (values['until-failure']) await untilFailure()
else await (values.seed === undefined ? many() : one())

import { invariants } from './invariants.ts'
import { type Fault, faultText } from './faults.ts'
import type { Scenario } from './scenario.ts'
import { scenarios } from './scenarios/index.ts'
import { seededRandom } from './seeded-random.ts'
import { shrink } from './shrink.ts'
import { type Outcome, simulate } from './simulate.ts'

export interface Job {
  readonly scenario: string
  readonly seed: number
  readonly faults: readonly Fault[]
}

/** The report of a worker. */
export interface Report {
  readonly runs: number
  readonly calls: number
  readonly failed: number
  readonly failures: readonly string[]
}

interface Done {
  readonly runs: number
  readonly calls: number
  readonly failed: readonly Outcome[]
}

export function scenarioFor(seed: number): Scenario {
  return seededRandom(seed).pick(scenarios)
}

export function scenarioNamed(name: string): Scenario {
  const found = scenarios.find((one) => one.name === name)
  if (found === undefined) throw new Error(`no scenario is called "${name}": ${scenarios.map((one) => one.name).join(', ')}`)
  return found
}

/** Enough for a person; the rest have mostly the same cause. */
const shownFailures = 10

/** A long run says how far it is: one without output counts as hung. */
const saidEvery = 250

export async function runJobs(jobs: readonly Job[], onDone: (runs: number) => void = () => undefined): Promise<Done> {
  const failed: Outcome[] = []
  let calls = 0
  for (const [index, job] of jobs.entries()) {
    if (index > 0 && index % saidEvery === 0) onDone(saidEvery)
    const scenario = scenarioNamed(job.scenario)
    const outcome = await simulate(scenario, job.seed, job.faults)
    calls += outcome.calls
    if (outcome.violation === undefined) continue
    failed.push(failed.length < shownFailures ? await shrink(scenario, outcome) : outcome)
  }
  return { runs: jobs.length, calls, failed }
}

export function report({ runs, calls, failed }: Done): Report {
  return { runs, calls, failed: failed.length, failures: failed.slice(0, shownFailures).map(failureText) }
}

/** A person who reads a trace needs its end, the writes, and the errors. */
const lastLines = 12

function failureText({ scenario, seed, faults, violation, trace }: Outcome): string {
  const story = trace.filter(
    (line, index) => index >= trace.length - lastLines || !/ (list|get|facts|instances|progress|vm|probe)/.test(line),
  )
  const how = `npm run simulate -- --scenario "${scenario}" --seed ${seed} --faults "${faults.map(faultText).join('; ')}"`
  const law = violation === undefined ? '' : invariants[violation.invariant]
  return [
    `FAILED ${violation?.invariant} in "${scenario}", seed ${seed}: ${violation?.message}`,
    `    (${law})`,
    ...story.map((line) => `    ${line}`),
    how,
  ].join('\n')
}

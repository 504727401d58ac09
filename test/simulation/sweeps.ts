import type { Part } from '../../scripts/program.ts'
import type { CallFaultKind, Fault, StepFaultKind } from './faults.ts'
import type { Job } from './jobs.ts'
import type { Scenario } from './scenario.ts'
import { scenarios } from './scenarios/index.ts'
import { type SeededRandom, seededRandom } from './seeded-random.ts'
import { type Outcome, simulate } from './simulate.ts'

const crashes: readonly CallFaultKind[] = ['crash-before', 'crash-committed', 'crash-after']
const kills: readonly StepFaultKind[] = ['kill-before', 'kill-after']
const trouble: readonly CallFaultKind[] = ['lost-request', 'lost-reply', 'hang', 'hang-lost', 'hang-failed']

/** So many double crashes are drawn for each scenario. */
const doubleCrashes = 150
/** This many reads before a delete are checked. */
const readsBefore = 10
const behind = [1, 2, 4] as const

type Histories = (calm: Outcome, scenario: Scenario) => readonly (readonly Fault[])[]

/** Every history of a kind in one scenario: how many there are is seen in a run without any fault. */
const sweeps: Readonly<Record<string, Histories>> = {
  crashes: ({ calls }) => upTo(calls).flatMap((call) => crashes.map((what) => [{ kind: 'call', call, what }])),
  'write-crashes': ({ writeCalls }) => writeCalls.flatMap((call) => crashes.map((what) => [{ kind: 'call', call, what }])),
  'double-crashes': (calm, scenario) => sampledPairs(calm, seededRandom(scenarios.indexOf(scenario) + 1)),
  'agent-kills': ({ steps }) => upTo(steps).flatMap((step) => kills.map((what) => [{ kind: 'step', step, what }])),
  'double-agent-kills': (calm, scenario) => sampledKills(calm, seededRandom(scenarios.indexOf(scenario) + 1)),
  calls: ({ calls }) => upTo(calls).flatMap((call) => trouble.map((what) => [{ kind: 'call', call, what }])),
  stale: ({ readCalls }) => readCalls.flatMap((call) => behind.map((writes) => [{ kind: 'stale', call, writes }])),
  'stale-pairs': (calm, scenario) => (scenario.name.includes('delete') ? stalePairs(calm) : []),
  events: ({ events }) => upTo(events).flatMap((event) => [[dropped(event)], [dropped(event), dropped(event + 1)]]),
}

export const sweepKinds = Object.keys(sweeps)

/** All histories of a kind; `every` leaves out all but each n-th, and `part` 2/4 is every fourth of those, from the second. */
export async function sweepJobs(named: string, every: number, part: Part, only?: string): Promise<Job[]> {
  const sweep = sweeps[named]
  if (sweep === undefined) throw new Error(`"${named}" is none of ${Object.keys(sweeps).join(', ')}`)
  const jobs: Job[] = []
  for (const scenario of scenarios) {
    if (only !== undefined && scenario.name !== only) continue
    const calm = await simulate(scenario, 1, [])
    for (const faults of sweep(calm, scenario)) jobs.push({ scenario: scenario.name, seed: 1, faults })
  }
  return jobs.filter((_one, index) => index % every === 0).filter((_one, index) => index % part.of === part.which - 1)
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_one, index) => index + 1)
}

function dropped(event: number): Fault {
  return { kind: 'event', event, what: 'drop' }
}

/** The second one mostly soon after the first, while what that left behind is repaired. */
function sampledPairs({ calls }: Outcome, random: SeededRandom): Fault[][] {
  const crash = (call: number): Fault => ({ kind: 'call', call, what: random.pick(crashes) })
  return upTo(doubleCrashes).map(() => {
    const first = random.int(1, calls)
    return [crash(first), crash(first + Math.round(10 ** (random.next() * 2.3)))]
  })
}

/** The second one mostly in what the agent does to recover. */
function sampledKills({ steps }: Outcome, random: SeededRandom): Fault[][] {
  const kill = (step: number): Fault => ({ kind: 'step', step, what: random.pick(kills) })
  return upTo(doubleCrashes).map(() => {
    const first = random.int(1, steps)
    return [kill(first), kill(first + Math.round(10 ** (random.next() * 1.7)))]
  })
}

/** Every two reads from shortly before the first thing that a person does to the end, both answered from before the last writes. */
function stalePairs({ readCalls, callsBeforeActs }: Outcome): Fault[][] {
  const [first = 0] = callsBeforeActs
  const reads = readCalls.slice(Math.max(0, readCalls.findIndex((call) => call > first) - readsBefore))
  const stale = (call: number, writes: number): Fault => ({ kind: 'stale', call, writes })
  const pairs = reads.flatMap((one, index) => reads.slice(index + 1).map((other) => [one, other] as const))
  return pairs.flatMap(([one, other]) => [1, 3].map((writes) => [stale(one, writes), stale(other, writes)]))
}

import { sha256Hex } from '../../src/api/hash.ts'
import { whatIsMissing } from './converged.ts'
import { type Fault, randomFaults } from './faults.ts'
import type { Violation } from './invariants.ts'
import type { Scenario } from './scenario.ts'
import { seededRandom } from './seeded-random.ts'
import { scheduleWindows } from './window-faults.ts'
import { World } from './world.ts'

export interface Outcome {
  readonly scenario: string
  readonly seed: number
  readonly faults: readonly Fault[]
  readonly violation: (Violation & { readonly atMs: number }) | undefined
  readonly calls: number
  /** Numbers of the calls that would write. */
  readonly writeCalls: readonly number[]
  /** Numbers of the calls that read from the Swarm, of which something was written a moment before. */
  readonly readCalls: readonly number[]
  /** How many calls there were when people and the world did something. */
  readonly callsBeforeActs: readonly number[]
  /** How many steps the agents took. */
  readonly steps: number
  readonly events: number
  /** Simulated milliseconds until everything was as declared. */
  readonly convergedMs: number
  readonly trace: readonly string[]
}

/** After the last trouble. */
const patienceMs = 60_000
const lookMs = 500
/** Without a write for so long, everything is at rest; then it must stay so beyond a resync. */
const restMs = 3_000
/** The next resync finds changes without events. */
const unseenMs = 11_000
const quietMs = 11_000

export interface SimulateOptions {
  /** Timer turns to watch after everything is at rest, instead of a little more than a resync. */
  readonly quietTurns?: number
}

/** Every so-many-th seed is watched that long when it is at rest. */
const watchedSeeds = 10
const watchedTurns = 1_000

/** One of so many seeds runs on for twenty minutes: what is collected, rotated or forgotten after ten minutes is in it. */
const longSeeds = 100
const longSeed = 50
const longMs = 1_200_000

/** One run of a scenario: the same seed and faults give the same trace, bit for bit. */
export async function simulate(
  scenario: Scenario,
  seed: number,
  faults: readonly Fault[],
  options: SimulateOptions = {},
): Promise<Outcome> {
  const world = new World(seed, faults, scenario.sources)
  scenario.prepare?.(world)
  for (const hostname of scenario.nodes ?? ['n1', 'n2']) world.addNode(hostname)
  for (const [name, spec] of Object.entries(scenario.vms)) world.declare(name, spec)
  scheduleWindows(world, faults)
  const callsBeforeActs = scheduleActs(world, scenario)
  for (let count = 0; count < (scenario.controllers ?? 1); count += 1) world.startController()
  const onRejection = (error: unknown): void => world.violate('NoInternalError', `nobody waits for what failed: ${String(error)}`)
  process.on('unhandledRejection', onRejection)
  let convergedMs = 0
  let isAtRest = false
  while (world.violation === undefined && !isAtRest) {
    convergedMs = await untilConverged(world, scenario)
    isAtRest = await watchQuiet(world, scenario, options.quietTurns ?? (seed % watchedSeeds === 0 ? watchedTurns : undefined))
  }
  if (seed % longSeeds === longSeed) await runOn(world, scenario)
  const { violation, boundary, streams, machines, trace } = world
  if (violation !== undefined) world.note(`${violation.invariant}: ${violation.message}`)
  const steps = machines.steps.count
  world.forget()
  process.off('unhandledRejection', onRejection)
  return {
    scenario: scenario.name,
    seed,
    faults,
    violation: violation && { ...violation, atMs: world.elapsedMs() },
    calls: boundary.calls,
    writeCalls: boundary.writeCalls,
    readCalls: boundary.readCalls,
    callsBeforeActs,
    steps,
    events: streams.count,
    convergedMs,
    trace,
  }
}

/** The faults that a seed stands for. */
export function faultsOf(seed: number): Fault[] {
  return randomFaults(seededRandom(seed ^ 0x5eed))
}

export function traceHash(outcome: Outcome): string {
  return sha256Hex(outcome.trace.join('\n'))
}

function scheduleActs(world: World, { acts }: Scenario): readonly number[] {
  const callsBefore: number[] = []
  for (const [atMs, act] of acts) {
    world.troubleUntilMs = Math.max(world.troubleUntilMs, world.startedMs + atMs)
    world.time.after(atMs, () => {
      world.note(`act at ${atMs}`)
      callsBefore.push(world.boundary.calls)
      act(world)
    })
  }
  return callsBefore
}

async function untilConverged(world: World, scenario: Scenario): Promise<number> {
  let nextLookMs = world.elapsedMs()
  const calmMs = world.faults.length === 0 ? 0 : unseenMs
  let missing: string | undefined = 'nothing was reconciled yet'
  while (world.violation === undefined) {
    const turned = await world.time.step(world.startedMs + nextLookMs)
    world.watchReady()
    if (turned) continue
    nextLookMs += lookMs
    world.judgeReady()
    if (world.time.now() <= world.troubleUntilMs + calmMs) continue
    missing = whatIsMissing(world, scenario)
    if (missing === undefined && world.time.now() - world.lastWriteMs >= restMs) break
    if (world.time.now() > world.troubleUntilMs + patienceMs + (scenario.extraMs ?? 0)) {
      world.violate('Converged', missing ?? 'it goes on writing')
    }
  }
  if (world.violation === undefined) {
    const wrong = scenario.expect?.(world)
    if (wrong !== undefined) world.violate('Converged', wrong)
  }
  return world.elapsedMs()
}

/** Until all of that time is over, and then everything must be as declared and at rest as before. */
async function runOn(world: World, scenario: Scenario): Promise<void> {
  for (let nextMs = world.elapsedMs(); world.violation === undefined && nextMs <= longMs; ) {
    if (await world.time.step(world.startedMs + nextMs)) continue
    world.judgeReady()
    nextMs += lookMs
  }
  world.troubleUntilMs = world.time.now()
  let isAtRest = false
  while (world.violation === undefined && !isAtRest) {
    await untilConverged(world, scenario)
    isAtRest = await watchQuiet(world, scenario, undefined)
  }
}

/**
 * An unused object is removed ten minutes after its creation, because a write may be pending for that long
 * (src/reconcilers/services/objects.ts).
 */
const collectedAfterMs = 595_000

/** False if a fault came so late that everything starts over. */
async function watchQuiet(world: World, scenario: Scenario, quietTurns: number | undefined): Promise<boolean> {
  const troubled = world.troubleUntilMs
  const since = world.lastWriteMs
  const untilMs = world.time.now() + quietMs
  let turns = 0
  const isCollecting = (): boolean => world.elapsedMs() >= collectedAfterMs && world.elapsedMs() < longMs
  while (world.violation === undefined && !isCollecting() && (quietTurns === undefined ? world.time.now() < untilMs : turns < quietTurns)) {
    const turned = await world.time.step(quietTurns === undefined ? untilMs : Number.POSITIVE_INFINITY)
    turns += 1
    if (world.troubleUntilMs !== troubled) return false
    if (!turned) break
    if (world.lastWriteMs !== since)
      world.violate('Quiet', world.trace.findLast((line) => / (create|update|remove)/.test(line)) ?? 'a write')
  }
  const missing = world.violation === undefined ? whatIsMissing(world, scenario) : undefined
  if (missing !== undefined) world.violate('Quiet', `what was as declared is so no more: ${missing}`)
  return true
}

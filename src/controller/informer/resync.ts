import type { VmName } from '../../api/names.ts'
import { type Clock, sleep } from '../../ports/clock.ts'
import { messageOf } from '../../ports/errors.ts'
import type { Log } from '../../ports/log.ts'
import type { Changed, InformedSwarm } from './informed-swarm.ts'
import { type World, worldReader } from './owned-objects.ts'

export interface LookPorts {
  readonly informed: Pick<InformedSwarm, 'swarm' | 'relist' | 'relistTasks'>
  readonly clock: Clock
  readonly log: Log
  readonly cluster: string
  readonly resyncMs: number
  /** After each look; `isBack` where the one before it failed, so that anything may have changed. */
  readonly onLook: (world: World, changed: Changed, isBack: boolean) => void
  readonly onTasks: (changed: readonly VmName[]) => void
}

/** Configs and secrets cannot change but by their labels, and events tell of them: they are read every so many looks. */
const seldom = 6
const failingMs = 2_000
/** However long a look took. */
const leastPauseMs = 500
/** Longer than any look but one in which a call hung. */
const oldMs = 10_000

/**
 * From the beginning of one look to that of the next. A little less than the period that an operator sets: what was taken away without an event is
 * found, and back, within that period.
 */
export function lookEveryMs(resyncMs: number): number {
  return Math.round(resyncMs * 0.95)
}

/** Reads the Swarm again and again, whatever events say, until the signal. */
export async function lookAround(ports: LookPorts, signal: AbortSignal): Promise<void> {
  const read = worldReader(ports.cluster)
  let isFailing = false
  for (let look = 0; !signal.aborted; look += 1) {
    const due = sleep(ports.clock, lookEveryMs(ports.resyncMs), signal).catch(() => undefined)
    isFailing = !(await lookOnce(ports, { read, isFailing, kinds: isFailing || look % seldom === 0 ? 'all' : 'often' }, signal))
    await sleep(ports.clock, isFailing ? Math.min(failingMs, ports.resyncMs) : leastPauseMs, signal).catch(() => undefined)
    if (!isFailing) await due
  }
}

interface HowToLook {
  readonly read: ReturnType<typeof worldReader>
  readonly isFailing: boolean
  readonly kinds: 'often' | 'all'
  /** The one before it took too long, and perhaps all do. */
  readonly isSecond?: boolean
}

/** False where the Swarm did not answer. */
async function lookOnce(ports: LookPorts, how: HowToLook, signal: AbortSignal): Promise<boolean> {
  const { informed, clock, log } = ports
  try {
    const beganMs = clock.elapsed()
    const changed = await informed.relist(how.kinds, signal)
    // Before the VMs are looked at: one list answers what all of them ask.
    ports.onTasks(await informed.relistTasks(signal))
    const world = await how.read(informed.swarm, signal)
    // A call hung, and the lists before it are of a Swarm of long ago: who has what is not given away on their word.
    if (clock.elapsed() - beganMs > oldMs && !how.isSecond) return await lookOnce(ports, { ...how, isSecond: true }, signal)
    if (how.isFailing) log.info({}, 'The Swarm answers again')
    ports.onLook(world, changed, how.isFailing)
    return true
  } catch (error) {
    if (!how.isFailing && !signal.aborted) log.warn({ reason: messageOf(error) }, 'The Swarm does not answer')
    return false
  }
}

/** A task that ends is seen this soon. */
const taskPollMs = 5_000
/** What reading all tasks took, this many times over, is the least pause after it: of a large Swarm it takes a small share of the time. */
const taskPollShare = 200

/** Tasks have no events: they are read again and again. */
export async function followTasks(ports: LookPorts, signal: AbortSignal): Promise<void> {
  const { clock, informed } = ports
  while (!signal.aborted) {
    const beganMs = clock.elapsed()
    try {
      ports.onTasks(await informed.relistTasks(signal))
    } catch (error) {
      // The same Docker is asked by `lookAround`, which says it once.
      ports.log.debug({ reason: messageOf(error) }, 'The tasks cannot be listed')
    }
    await sleep(clock, Math.max(taskPollMs, taskPollShare * (clock.elapsed() - beganMs)), signal).catch(() => undefined)
  }
}

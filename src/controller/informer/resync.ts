import type { VmName } from '../../api/names.ts'
import type { Clock } from '../../ports/clock.ts'
import { sleep } from '../../api/time.ts'
import { messageOf } from '../../api/error-message.ts'
import type { Log } from '../../ports/log.ts'
import type { Changed, InformedSwarm } from './informed-swarm.ts'
import { type ClusterSnapshot, snapshotReader } from './owned-objects.ts'

export interface ResyncPorts {
  readonly informed: Pick<InformedSwarm, 'swarm' | 'relist' | 'relistTasks'>
  readonly clock: Clock
  readonly log: Log
  readonly cluster: string
  readonly resyncMs: number
  /** Called after each resync. `isBack` means that the one before it failed, so anything may have changed. */
  readonly onSnapshot: (snapshot: ClusterSnapshot, changed: Changed, isBack: boolean) => void
  /** Called with the VMs whose tasks changed. */
  readonly onTasks: (changed: readonly VmName[]) => void
}

/** Only the labels of configs and secrets can change, and events report that: they are listed every so many resyncs. */
const seldom = 6
const failingMs = 2_000
/** The least pause after a resync, however long it took. */
const leastPauseMs = 500
/** Longer than any resync in which no call hung. */
const oldMs = 10_000

/**
 * The time from the start of one resync to the start of the next. It is a little less than the period that an operator sets, so that an object that
 * was removed without an event is restored within that period.
 */
export function resyncEveryMs(resyncMs: number): number {
  return Math.round(resyncMs * 0.95)
}

/** Lists the Swarm again and again, whatever events report, until the signal. */
export async function resyncPeriodically(ports: ResyncPorts, signal: AbortSignal): Promise<void> {
  const read = snapshotReader(ports.cluster)
  let isFailing = false
  for (let count = 0; !signal.aborted; count += 1) {
    const due = sleep(ports.clock, resyncEveryMs(ports.resyncMs), signal).catch(() => undefined)
    isFailing = !(await resyncOnce(ports, { read, isFailing, kinds: isFailing || count % seldom === 0 ? 'all' : 'often' }, signal))
    await sleep(ports.clock, isFailing ? Math.min(failingMs, ports.resyncMs) : leastPauseMs, signal).catch(() => undefined)
    if (!isFailing) await due
  }
}

interface How {
  readonly read: ReturnType<typeof snapshotReader>
  readonly isFailing: boolean
  readonly kinds: 'often' | 'all'
  /** The first one took too long, and perhaps all do. */
  readonly isSecond?: boolean
}

/** Returns false if the Swarm did not answer. */
async function resyncOnce(ports: ResyncPorts, how: How, signal: AbortSignal): Promise<boolean> {
  const { informed, clock, log } = ports
  try {
    const beganMs = clock.elapsed()
    const changed = await informed.relist(how.kinds, signal)
    // Before the VMs are requeued: one list answers all their questions.
    ports.onTasks(await informed.relistTasks(signal))
    const snapshot = await how.read(informed.swarm, signal)
    // A call hung, so the lists before it are old: no name or address is given away on their word.
    if (clock.elapsed() - beganMs > oldMs && !how.isSecond) return await resyncOnce(ports, { ...how, isSecond: true }, signal)
    if (how.isFailing) log.info({}, 'The Swarm answers again')
    ports.onSnapshot(snapshot, changed, how.isFailing)
    return true
  } catch (error) {
    if (!how.isFailing && !signal.aborted) log.warn({ reason: messageOf(error) }, 'The Swarm does not answer')
    return false
  }
}

/** The end of a task is noticed within this time. */
const taskPollMs = 5_000
/** The pause is at least this many times what the list took, so that a large Swarm spends little time on it. */
const taskPollShare = 200

/** Lists all tasks again and again, since Docker sends no events for them. */
export async function pollTasks(ports: ResyncPorts, signal: AbortSignal): Promise<void> {
  const { clock, informed } = ports
  while (!signal.aborted) {
    const beganMs = clock.elapsed()
    try {
      ports.onTasks(await informed.relistTasks(signal))
    } catch (error) {
      // `resyncPeriodically` asks the same Docker, and logs it once.
      ports.log.debug({ reason: messageOf(error) }, 'The tasks cannot be listed')
    }
    await sleep(clock, Math.max(taskPollMs, taskPollShare * (clock.elapsed() - beganMs)), signal).catch(() => undefined)
  }
}

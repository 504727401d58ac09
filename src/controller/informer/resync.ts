import type { VmName } from '../../api/names.ts'
import type { Clock } from '../../ports/clock.ts'
import { sleep } from '../../api/time.ts'
import { messageOf } from '../../api/error-message.ts'
import type { Log } from '../../ports/log.ts'
import type { Changed, InformedSwarm } from './informed-swarm.ts'
import { type ClusterSnapshot, snapshotReader } from './cluster-snapshot.ts'

export interface ResyncPorts {
  readonly informed: Pick<InformedSwarm, 'swarm' | 'relist' | 'relistTasks'>
  readonly clock: Clock
  readonly log: Log
  readonly cluster: string
  readonly resyncMs: number
  /** Called after each resync. With `isBack`, the previous resync failed, so anything may have changed. */
  readonly onSnapshot: (snapshot: ClusterSnapshot, changed: Changed, isBack: boolean) => void
  /** Called with the VMs whose tasks changed. */
  readonly onTasks: (changed: readonly VmName[]) => void
}

/** Every sixth resync also lists configs and secrets. Only their labels can change, and events report that. */
const allEvery = 6
const failingMs = 2_000
/** The minimum pause after a resync, however long it took. */
const minPauseMs = 500
/** Only a resync with a call that hung takes longer. */
const slowMs = 10_000

/**
 * The time from the start of one resync to the start of the next. It is slightly less than the configured period, so that an object that was removed
 * without an event is restored within the period.
 */
function resyncEveryMs(resyncMs: number): number {
  return Math.round(resyncMs * 0.95)
}

/** Lists the Swarm periodically, independent of events, until the signal is aborted. Unlike a resync of client-go, it reads Docker. */
export async function resyncPeriodically(ports: ResyncPorts, signal: AbortSignal): Promise<void> {
  const read = snapshotReader(ports.cluster)
  let isFailing = false
  for (let count = 0; !signal.aborted; count += 1) {
    const due = sleep(ports.clock, resyncEveryMs(ports.resyncMs), signal).catch(() => undefined)
    isFailing = !(await resyncOnce(ports, { read, isFailing, kinds: isFailing || count % allEvery === 0 ? 'all' : 'often' }, signal))
    await sleep(ports.clock, isFailing ? Math.min(failingMs, ports.resyncMs) : minPauseMs, signal).catch(() => undefined)
    if (!isFailing) await due
  }
}

interface Attempt {
  readonly read: ReturnType<typeof snapshotReader>
  readonly isFailing: boolean
  readonly kinds: 'often' | 'all'
  /** The first attempt took too long. The second one is used even if it does too. */
  readonly isSecond?: boolean
}

/** Returns false if the Swarm is not responding. */
async function resyncOnce(ports: ResyncPorts, attempt: Attempt, signal: AbortSignal): Promise<boolean> {
  const { informed, clock, log } = ports
  try {
    const beganMs = clock.elapsed()
    const changed = await informed.relist(attempt.kinds, signal)
    // Before the VMs are requeued, so that this one list serves all of them.
    ports.onTasks(await informed.relistTasks(signal))
    const snapshot = await attempt.read(informed.swarm, signal)
    // A call hung, so the lists before it are too old to release a name or an address.
    if (clock.elapsed() - beganMs > slowMs && !attempt.isSecond) return await resyncOnce(ports, { ...attempt, isSecond: true }, signal)
    if (attempt.isFailing) log.info({}, 'The Swarm is responding again')
    ports.onSnapshot(snapshot, changed, attempt.isFailing)
    return true
  } catch (error) {
    if (!attempt.isFailing && !signal.aborted) log.warn({ reason: messageOf(error) }, 'The Swarm is not responding')
    return false
  }
}

/** The end of a task is detected within this time. */
const taskPollMs = 5_000
/** The pause is at least this many times as long as the list took, so that a large Swarm spends little time on it. */
const taskPollShare = 200

/** Polls the tasks, because Docker sends no events for them. */
export async function pollTasks(ports: ResyncPorts, signal: AbortSignal): Promise<void> {
  const { clock, informed } = ports
  while (!signal.aborted) {
    const beganMs = clock.elapsed()
    try {
      ports.onTasks(await informed.relistTasks(signal))
    } catch (error) {
      // `resyncPeriodically` calls the same Docker, and logs the problem once.
      ports.log.debug({ reason: messageOf(error) }, 'The tasks cannot be listed')
    }
    await sleep(clock, Math.max(taskPollMs, taskPollShare * (clock.elapsed() - beganMs)), signal).catch(() => undefined)
  }
}

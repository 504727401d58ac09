import type { Clock } from '../../ports/clock.ts'
import { PortError } from '../../ports/errors.ts'

/** The event of a write arrives within milliseconds of the answer. A later event belongs to somebody else's write. */
const echoMs = 2_000
/** A manager that lost its quorum answers from old state for about a second before it steps down. */
const mustExistMs = 3_000

/** One write of ours, from the call until its event arrived. */
export interface OwnWrite {
  readonly key: string
  readonly action: 'create' | 'update'
  /** Known from the answer if the object is new. */
  id: string | undefined
  /** When Docker answered. */
  endedMs: number | undefined
  /** The object id in the event that was taken for the echo of this write. */
  echoId: string | undefined
  /** Somebody else wrote the object since this write began, or may have. */
  isDisturbed: boolean
}

interface ObjectEvent {
  readonly key: string
  readonly action: string
  readonly id: string
}

/**
 * Our own writes of one kind of object, as client-go's expectations: which event is the echo of a write, which changes are expected, and which
 * objects must exist.
 *
 * *Caveats*: Docker's events name neither the writer nor the version. The next event with the write's action and id counts as its echo. If that
 * event is lost, an event of somebody else within two seconds is taken for it; the next resync finds what it reported.
 */
export interface WriteLog {
  begin(write: Pick<OwnWrite, 'key' | 'action' | 'id'>): OwnWrite
  /** Docker answered. Returns false if somebody else may have changed the object meanwhile. */
  succeeded(write: OwnWrite, id: string): boolean
  /** The write was refused, or it is not known whether it was made. */
  failed(write: OwnWrite): void
  /** Whether the event reports our own write and nothing else. */
  isEcho(event: ObjectEvent): boolean
  /** Whether a write of this object is in flight, so that a change of it is no surprise. */
  isPending(key: string): boolean
  /** The object was removed, by us or by somebody else. */
  removed(id: string): void
  /**
   * Runs a read and throws Unavailable if the answer lacks an object that was created here within the last three seconds: the manager that answered
   * lags behind. Believing it would create the object again, or delete what belongs to it.
   */
  upToDate<Answer>(read: () => Promise<Answer>, isKnown: (answer: Answer, created: OwnWrite) => boolean): Promise<Answer>
}

export function writeLog(clock: Clock): WriteLog {
  /** The last write of each object, in the order in which they began. */
  const latest = new Map<string, OwnWrite>()
  /** Creations by id, in the order in which they were answered. */
  const created = new Map<string, OwnWrite>()

  const isOlder = ({ endedMs }: OwnWrite, ms: number): boolean => endedMs !== undefined && clock.elapsed() - endedMs >= ms

  function forgetOld(writes: Map<string, OwnWrite>, ms: number): void {
    for (const [key, write] of writes) {
      if (!isOlder(write, ms)) return
      writes.delete(key)
    }
  }

  function forget(write: OwnWrite): void {
    if (latest.get(write.key) === write) latest.delete(write.key)
  }

  const isPending = (key: string): boolean => latest.has(key) && latest.get(key)?.endedMs === undefined

  return {
    isPending,
    begin({ key, action, id }) {
      forgetOld(latest, echoMs)
      const isDisturbed = isPending(key)
      const before = latest.get(key)
      if (before !== undefined) before.isDisturbed = true
      const write: OwnWrite = { key, action, id, endedMs: undefined, echoId: undefined, isDisturbed }
      latest.delete(key)
      latest.set(key, write)
      return write
    },
    succeeded(write, id) {
      write.endedMs = clock.elapsed()
      write.id = id
      if (write.action === 'create') created.set(id, write)
      if (write.echoId !== undefined) forget(write)
      return !write.isDisturbed && (write.echoId ?? id) === id
    },
    failed: forget,
    isEcho({ key, action, id }) {
      const write = latest.get(key)
      if (write === undefined) return false
      const isOthers = isOlder(write, echoMs) || write.echoId !== undefined || write.action !== action || (write.id ?? id) !== id
      if (isOthers) {
        write.isDisturbed = true
        return false
      }
      write.echoId = id
      if (write.endedMs !== undefined) forget(write)
      return true
    },
    removed: (id) => void created.delete(id),
    async upToDate(read, isKnown) {
      forgetOld(created, mustExistMs)
      const before = [...created.values()]
      const answer = await read()
      forgetOld(created, mustExistMs)
      const missing = before.find((write) => created.get(write.id ?? '') === write && !isKnown(answer, write))
      if (missing === undefined) return answer
      throw new PortError('Unavailable', `the manager that answered lags behind: it does not know ${missing.key}, which was just created`)
    },
  }
}

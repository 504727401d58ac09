import type { Clock } from '../../ports/clock.ts'
import { PortError } from '../../ports/errors.ts'

/** The event of a write arrives within milliseconds of the answer. A later event belongs to another writer. */
const echoMs = 2_000
/** A manager that lost its quorum answers with old state for about a second before it steps down. */
const mustExistMs = 3_000

/** One write of ours, from the call until its event is no longer awaited. */
interface OwnWrite {
  readonly key: string
  readonly action: 'create' | 'update'
  /** A new object gets its id with Docker's answer. */
  id: string | undefined
  isPending: boolean
  /** Its event arrived. */
  isEchoed: boolean
}

export type WriteOf = Pick<OwnWrite, 'key' | 'action' | 'id'>

/**
 * Our own writes of one kind of object, like the expectations of Kubernetes controllers: which event is the echo of a write, which changes are
 * expected, and which objects must exist.
 *
 * *Caveats*: Docker's events contain neither the writer nor the version, so the next event with the action and id of the write counts as its echo.
 * If the echo is lost, another writer's event within two seconds is mistaken for it, and only the next resync finds that change.
 */
export interface WriteLog {
  begin(write: WriteOf): OwnWrite
  /** Docker applied the write. */
  succeeded(write: OwnWrite, id: string): void
  /** Docker rejected the write, or it is unknown whether it was applied, so its event must be processed. */
  failed(write: OwnWrite): void
  /** Whether the event only reports our own write. */
  isEcho(event: { readonly key: string; readonly action: string; readonly id: string }): boolean
  /** Whether a write of this object is in flight, so that a change of it is expected. */
  isPending(key: string): boolean
  /** The object was removed, by us or by another writer, so a read may lack it. */
  removed(id: string): void
  /**
   * Runs a read. Throws Unavailable if the answer lacks an object that we created within the last three seconds, because the answering manager lags
   * behind. Otherwise the caller would create the object again, or remove the objects that it refers to.
   */
  readYourWrites<Answer>(read: () => Promise<Answer>, knows: (answer: Answer) => (created: OwnWrite) => boolean): Promise<Answer>
}

export function writeLog(clock: Clock): WriteLog {
  /** The last write of each object, until its echo can no longer arrive. */
  const latest = new Map<string, OwnWrite>()
  /** Objects that must exist, by id. */
  const created = new Map<string, OwnWrite>()

  function forget(write: OwnWrite): void {
    if (latest.get(write.key) === write) latest.delete(write.key)
  }

  return {
    begin(what) {
      const write = { ...what, isPending: true, isEchoed: false }
      latest.set(write.key, write)
      return write
    },
    succeeded(write, id) {
      write.id = id
      write.isPending = false
      clock.after(echoMs, () => forget(write))
      if (write.action !== 'create') return
      created.set(id, write)
      clock.after(mustExistMs, () => created.delete(id))
    },
    failed: forget,
    isEcho({ key, action, id }) {
      const write = latest.get(key)
      if (write === undefined || write.isEchoed || write.action !== action || (write.id ?? id) !== id) return false
      write.isEchoed = true
      return true
    },
    isPending: (key) => latest.get(key)?.isPending === true,
    removed: (id) => void created.delete(id),
    async readYourWrites(read, knows) {
      const before = [...created]
      const answer = await read()
      const isKnown = knows(answer)
      const missing = before.find(([id, write]) => created.has(id) && !isKnown(write))
      if (missing === undefined) return answer
      throw new PortError(
        'Unavailable',
        `the manager that answered lags behind: it does not know ${missing[1].key}, which was just created`,
      )
    },
  }
}

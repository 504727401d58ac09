import type { Clock } from '../../ports/clock.ts'
import type { SwarmEvent } from '../../ports/swarm.ts'

/** An event of a write comes within milliseconds of the answer to it; what comes later is somebody else's. */
const explainedMs = 2_000

export interface OwnWrite {
  readonly name: string
  readonly action: 'create' | 'update'
  /** Of an object that is made, known with the answer. */
  id: string | undefined
  /** Id in the one event that may be of this write. */
  heard: string | undefined
  endedMs: number | undefined
  /** Somebody else wrote it, or may have, since this write was begun. */
  disturbed: boolean
}

/**
 * Which events tell of nothing but what we wrote ourselves. Docker's say neither who wrote nor which version came of it, so of each write the
 * one event is taken for it that has its action and id and comes next. *Caveats*: where that one is lost, another's within two seconds is taken
 * for it, and what it told of is found by the next list, as after any event that is lost.
 */
export interface OwnWrites {
  begin(name: string, action: OwnWrite['action'], id: string | undefined): OwnWrite
  /** The write was made. False where the answer is not all that there is to know of the object. */
  made(write: OwnWrite, id: string): boolean
  /** Whether it was made is not known, or it was not. */
  failed(write: OwnWrite): void
  /** Whether the event tells of our own write and of nothing else. */
  explains(event: SwarmEvent): boolean
}

export function ownWrites(clock: Clock): OwnWrites {
  const writes = new Map<string, OwnWrite>()

  /** In the order in which they were begun: events that were lost leave theirs behind. */
  function forgetOld(): void {
    for (const { name, endedMs } of writes.values()) {
      if (endedMs === undefined || clock.elapsed() - endedMs < explainedMs) return
      writes.delete(name)
    }
  }

  return {
    begin(name, action, id) {
      forgetOld()
      const other = writes.get(name)
      if (other !== undefined) other.disturbed = true
      const isFirst = other === undefined || other.endedMs !== undefined
      const write: OwnWrite = { name, action, id, heard: undefined, endedMs: undefined, disturbed: !isFirst }
      writes.delete(name)
      writes.set(name, write)
      return write
    },
    made(write, id) {
      write.endedMs = clock.elapsed()
      write.id = id
      if (write.heard !== undefined && write.heard !== id) write.disturbed = true
      if (write.heard !== undefined && writes.get(write.name) === write) writes.delete(write.name)
      return !write.disturbed
    },
    failed(write) {
      if (writes.get(write.name) === write) writes.delete(write.name)
    },
    explains({ name, action, id }) {
      const write = writes.get(name)
      if (write === undefined) return false
      const isOld = write.endedMs !== undefined && clock.elapsed() - write.endedMs >= explainedMs
      if (isOld || write.heard !== undefined || write.action !== action || (write.id !== undefined && write.id !== id)) {
        write.disturbed = true
        return false
      }
      write.heard = id
      if (write.endedMs !== undefined) writes.delete(name)
      return true
    },
  }
}

import type { VmUid } from '../../api/names.ts'
import { PortError } from '../../ports/errors.ts'
import type { NodeId } from '../../api/names.ts'

/** Free capacity of a node. */
export interface Room {
  readonly memoryBytes: number
  readonly diskBytes: number
  /** With more VMs than this, placement would pick another node. */
  readonly vms: number
}

/** The resources of its node that a VM uses, and the free capacity that its plan found. */
export interface AssumedPlacement {
  readonly uid: VmUid
  readonly nodeId: NodeId
  readonly takes: Omit<Room, 'vms'>
  readonly spare: Room
  /** `Since.mark` of the observation behind the plan. */
  readonly mark: number
}

/** Placements whose records an observation may have missed. */
interface Since {
  readonly claims: readonly AssumedPlacement[]
  /** Claims from this mark on were made after the observation. */
  readonly mark: number
}

/**
 * Assumed placements: several VMs are placed at the same time, each before the records of the others are visible. An observation counts
 * the placements made since it began. A write checks the placements made since its observation, and throws Conflict if the room is gone.
 * Kept in memory: two controllers only see each other's records.
 */
export interface AssumedPlacements {
  /** Call before observing: everything written until then is in what is read. */
  mark(): number
  /** Call at the end of an observation that began at `mark`. */
  since(mark: number): Since
  /** Throws Conflict if the room is gone. Call the returned function once the write has ended, whether or not it succeeded. */
  take(claim: AssumedPlacement): () => void
}

/** An observation ends within minutes, and fewer VMs than this are placed in that time. */
const kept = 10_000

export function assumedPlacements(): AssumedPlacements {
  let placed: readonly AssumedPlacement[] = []
  let dropped = 0
  const writing = new Map<AssumedPlacement, number>()
  return {
    mark: () => Math.min(dropped + placed.length, ...writing.values()),
    since: (mark) => ({ claims: placed.slice(Math.max(0, mark - dropped)), mark: dropped + placed.length }),
    take(claim) {
      const since = placed.slice(Math.max(0, claim.mark - dropped)).filter(({ nodeId }) => nodeId === claim.nodeId)
      if (claim.mark < dropped || !fits(claim, since))
        throw new PortError('Conflict', 'other VMs took the free capacity of this node at the same time')
      writing.set(claim, dropped + placed.length)
      const all = [...placed, claim]
      dropped += Math.max(0, all.length - kept)
      placed = all.slice(-kept)
      return () => void writing.delete(claim)
    },
  }
}

function fits({ spare }: AssumedPlacement, others: readonly AssumedPlacement[]): boolean {
  const sum = (of: 'memoryBytes' | 'diskBytes'): number => others.reduce((total, { takes }) => total + takes[of], 0)
  return others.length <= spare.vms && sum('memoryBytes') <= spare.memoryBytes && sum('diskBytes') <= spare.diskBytes
}

/** Makes a write with its claim, if it has one. Throws Conflict if the room is gone. */
export async function whileClaimed<Answer>(
  assumed: AssumedPlacements,
  claim: AssumedPlacement | undefined,
  write: () => Promise<Answer>,
): Promise<Answer> {
  const release = claim === undefined ? undefined : assumed.take(claim)
  try {
    return await write()
  } finally {
    release?.()
  }
}

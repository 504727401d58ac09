import type { VmUid } from '../../api/names.ts'
import { PortError } from '../../ports/errors.ts'

/** What is left of a node beside the VMs on it. */
export interface Room {
  readonly memoryBytes: number
  readonly diskBytes: number
  /** More VMs than these, and another node would be picked. */
  readonly vms: number
}

/** What a VM takes of its node, and what was left beside it by what its planner had seen. */
export interface Claim {
  readonly uid: VmUid
  readonly nodeId: string
  readonly takes: Omit<Room, 'vms'>
  readonly spare: Room
  /** `Since.mark` of the look that it was planned on. */
  readonly mark: number
}

/** Placements that a look may not have found in the records. */
interface Since {
  readonly claims: readonly Claim[]
  /** Claims from here on were made after the look. */
  readonly mark: number
}

/**
 * Several VMs are placed at the same time, each by what was read before the records of the others were written. A look counts what was placed
 * since it began, as if the records were there. What is placed between a look and its write counts against the room that the look found: a VM
 * that would take more than is left, or that another node would suit better now, is looked at again. This is the memory of one controller: two
 * controllers see each other's records only.
 */
export interface Ledger {
  /** Before a look: what was taken and written until then is in what is read. */
  mark(): number
  /** At the end of a look that began at `mark`. */
  since(mark: number): Since
  /** Throws Conflict where the room is gone. The answer is called when the record is written, or was not. */
  take(claim: Claim): () => void
}

/** Looks end within minutes; in that time fewer are placed. */
const kept = 10_000

export function ledger(): Ledger {
  let placed: readonly Claim[] = []
  let dropped = 0
  const writing = new Map<Claim, number>()
  return {
    mark: () => Math.min(dropped + placed.length, ...writing.values()),
    since: (mark) => ({ claims: placed.slice(Math.max(0, mark - dropped)), mark: dropped + placed.length }),
    take(claim) {
      const since = placed.slice(Math.max(0, claim.mark - dropped)).filter(({ nodeId }) => nodeId === claim.nodeId)
      if (claim.mark < dropped || !fits(claim, since))
        throw new PortError('Conflict', 'other VMs took room on this node at the same moment')
      writing.set(claim, dropped + placed.length)
      const all = [...placed, claim]
      dropped += Math.max(0, all.length - kept)
      placed = all.slice(-kept)
      return () => void writing.delete(claim)
    },
  }
}

function fits({ spare }: Claim, others: readonly Claim[]): boolean {
  const sum = (of: 'memoryBytes' | 'diskBytes'): number => others.reduce((total, { takes }) => total + takes[of], 0)
  return others.length <= spare.vms && sum('memoryBytes') <= spare.memoryBytes && sum('diskBytes') <= spare.diskBytes
}

import { PortError } from '../../ports/errors.ts'
import type { Room } from './place.ts'

/** What a VM takes of its node, and what was left beside it by what its planner had seen. */
export interface Claim {
  readonly nodeId: string
  readonly takes: Omit<Room, 'vms'>
  readonly spare: Room
  /** From `Ledger.mark`, before anything was read. */
  readonly mark: number
}

/**
 * VMs are placed several at once, each by what it saw before the others' records were written. What was placed since somebody looked, or is not
 * written yet, counts against the room that he saw: who would take more than is left looks again. Of one controller alone: two at once see each
 * other's records at their next looks only.
 */
export interface Ledger {
  /** Before a look: what was taken and written until then is in what is read. */
  mark(): number
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
    take(claim) {
      const since = placed.slice(Math.max(0, claim.mark - dropped)).filter(({ nodeId }) => nodeId === claim.nodeId)
      if (claim.mark < dropped || !fits(claim, since))
        throw new PortError('Conflict', 'other VMs were placed on this node at the same moment')
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

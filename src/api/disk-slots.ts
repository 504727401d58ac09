import type { DiskRecord } from './wire/identity.ts'

/** PCI slots of a VM's disks on q35's root bus. Guests number their disks by them, so a disk keeps its slot (ADR 0028). */
const first = 10
/** The slots of a VM, so also the number of its disks on a node, with those that its manifest no longer names. */
export const mostDisks = 16

/** Every disk with its slot. One without a record of it gets the lowest free slot, as in release 0.1. */
export function withSlots(records: readonly DiskRecord[]): readonly (DiskRecord & { readonly slot: number })[] {
  const taken = new Set(records.flatMap(({ slot }) => slot ?? []))
  return records.map((record) => {
    const slot = record.slot ?? freeSlot(taken)
    taken.add(slot)
    return { ...record, slot }
  })
}

function freeSlot(taken: ReadonlySet<number>): number {
  let slot = first
  while (taken.has(slot)) slot += 1
  return slot
}

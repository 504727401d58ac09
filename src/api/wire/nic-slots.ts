import * as z from 'zod/mini'
import { partNameField } from './common.ts'

/** PCI slots on q35's root bus. Release 0.1 had one NIC, in the first slot. */
const nicSlots = [2, 3, 4, 5, 6, 7, 8, 9] as const

/**
 * `instances/<uid>/nic-slots.json`: the PCI slot of each network (ADR 0027). Written by the agent, read by the runner. Absent for a VM of
 * release 0.1 until its next order.
 */
export const nicSlotsFile = z.object({
  version: z.literal(1),
  slots: z.array(z.object({ name: partNameField, slot: z.literal(nicSlots) })).check(z.maxLength(nicSlots.length)),
})
type NicSlots = z.output<typeof nicSlotsFile>['slots']

/**
 * The slots of a VM with these networks, 8 at most. A network keeps its slot, also while it is removed. A new one gets the lowest unused slot,
 * or else that of a removed network. Agent and runner get the same result from the same file.
 */
export function assignSlots(kept: NicSlots, names: readonly string[]): NicSlots {
  let slots = kept
  for (const name of names) {
    if (slots.some((one) => one.name === name)) continue
    const owner = (slot: number): string | undefined => slots.find((one) => one.slot === slot)?.name
    const unused = nicSlots.find((slot) => owner(slot) === undefined)
    const slot = unused ?? nicSlots.find((one) => !names.includes(owner(one) ?? ''))
    if (slot === undefined) throw new Error(`a VM has at most ${nicSlots.length} networks`)
    slots = [...slots.filter((one) => one.slot !== slot), { name, slot }]
  }
  return slots
}

/**
 * PCI slots on q35's root bus, by kind and index. Guests name their interfaces after them (enp0s2), so they are fixed for the VM's life: never move
 * one. NICs have 2 to 9 (src/api/wire/nic-slots.ts), disks 10 to 25 (src/api/disk-slots.ts). 1 is the display's. Free: 30. The chipset uses 0 and 31.
 */
const slots = { rng: 26, balloon: 27, seed: 28, pvpanic: 29 } as const
type SlotKind = keyof typeof slots

export function at(kind: SlotKind, index = 0): { bus: string; addr: string } {
  return atSlot(slots[kind] + index)
}

/** Another function of a slot, whose own device then needs `multifunction`. */
export function functionOf(kind: SlotKind, number: number): { bus: string; addr: string } {
  const { bus, addr } = at(kind)
  return { bus, addr: `${addr}.${number}` }
}

export function atSlot(slot: number): { bus: string; addr: string } {
  return { bus: 'pcie.0', addr: `0x${slot.toString(16)}` }
}

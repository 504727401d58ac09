import type { CdromInput } from './inputs.ts'

/**
 * A CD-ROM drive on a SATA port of the chipset: firmware boots from it, and installers have its driver. It begins empty. Its disc is inserted before
 * the guest runs, and exchanged while it runs, in the same way (live-part.ts).
 */
export function cdromArguments({ name, bootIndex }: CdromInput, index: number): string[] {
  return [
    '-device',
    JSON.stringify({ driver: 'ide-cd', id: cdromId(index), bus: `ide.${index}`, unit: 0, serial: name, bootindex: bootIndex }),
  ]
}

export function cdromId(index: number): string {
  return `cdrom${index}`
}

/** Always `raw`: another format could name files of the host. It is read-only and needs no lock. */
export function discNode(name: string, path: string) {
  const file = { driver: 'file', filename: path, locking: 'off', 'read-only': true }
  return { driver: 'raw', 'node-name': name, 'read-only': true, file }
}

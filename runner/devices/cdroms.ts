import type { CdromInput } from './inputs.ts'

/**
 * A CD-ROM drive on a SATA port of the chipset: firmware boots from it, and installers have its driver. The drive exists without a disc too, so that
 * one can be inserted while the guest runs.
 */
export function cdromArguments({ name, path, bootIndex }: CdromInput, index: number): string[] {
  const id = cdromId(index)
  const drive = { driver: 'ide-cd', id, bus: `ide.${index}`, unit: 0, serial: name, bootindex: bootIndex }
  if (path === undefined) return ['-device', JSON.stringify(drive)]
  const disc = discNode(`${id}-disc`, path)
  return ['-blockdev', JSON.stringify(disc), '-device', JSON.stringify({ ...drive, drive: disc['node-name'] })]
}

function cdromId(index: number): string {
  return `cdrom${index}`
}

/** Always `raw`: another format could name files of the host. It is read-only and needs no lock. */
function discNode(name: string, path: string) {
  const file = { driver: 'file', filename: path, locking: 'off', 'read-only': true }
  return { driver: 'raw', 'node-name': name, 'read-only': true, file }
}

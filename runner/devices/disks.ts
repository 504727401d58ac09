import type { DiskInput } from './inputs.ts'
import { atSlot } from './pci-slots.ts'

/** The block node of a disk, by its place in the boot order. */
export function diskNode(index: number): string {
  return `disk${index}`
}

/** The device that the guest sees. */
function diskDevice(index: number): string {
  return `${diskNode(index)}-device`
}

/** The QOM path of the part of the device that has the block backend. The device itself is only its PCI side. */
export function diskBackend(index: number): string {
  return `/machine/peripheral/${diskDevice(index)}/virtio-backend`
}

/**
 * Uses the host's page cache (`direct: false`): it works on every file system, and the guest's flushes still reach the disk. Locking is required
 * (`locking: on`): the image lock is the last protection against two writers.
 */
export function diskArguments(disk: DiskInput, index: number): string[] {
  const node = diskNode(index)
  const access = disk.readOnly ? { 'read-only': true } : {}
  const file = {
    driver: 'file',
    'node-name': `${node}-file`,
    filename: disk.path,
    locking: 'on',
    aio: 'threads',
    discard: 'unmap',
    ...access,
  }
  const cache = { direct: false, 'no-flush': false }
  const image = { driver: 'qcow2', 'node-name': node, file: `${node}-file`, discard: 'unmap', cache, ...access }
  const device = { driver: 'virtio-blk-pci', id: diskDevice(index), drive: node, serial: disk.name, ...atSlot(disk.slot) }
  return [
    ['-blockdev', JSON.stringify(file)],
    ['-blockdev', JSON.stringify(image)],
    // The guest boots only from the first disk and from CD-ROMs.
    ['-device', JSON.stringify(index === 0 ? { ...device, bootindex: disk.bootIndex ?? 1 } : device)],
  ].flat()
}

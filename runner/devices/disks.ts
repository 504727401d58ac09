import type { DiskInput } from './inputs.ts'
import { atSlot } from './pci-slots.ts'

/** The block node of a disk, by its place in the boot order. */
export function diskNode(index: number): string {
  return `disk${index}`
}

/** Each disk has an I/O thread of its own. Its pool is limited, because the task's processes and threads are (src/reconcilers/services/render.ts). */
const poolThreads = 8

/** The device that the guest sees. */
function diskDevice(index: number): string {
  return `${diskNode(index)}-device`
}

/** The QOM path of the part of the device that has the block backend. A virtio-blk device itself is only its PCI side. */
export function diskBackend(index: number, bus: DiskInput['bus']): string {
  return `/machine/peripheral/${diskDevice(index)}${bus === 'scsi' ? '' : '/virtio-backend'}`
}

/**
 * Uses the host's page cache (`direct: false`), and the guest's flushes still reach the disk (ADR 0038). Locking is required (`locking: on`): the
 * image lock is the last protection against two writers.
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
  const thread = { 'qom-type': 'iothread', id: `${node}-thread`, 'thread-pool-max': poolThreads }
  return [
    ['-object', JSON.stringify(thread)],
    ['-blockdev', JSON.stringify(file)],
    ['-blockdev', JSON.stringify(image)],
    ...devicesOf(disk, index, thread.id).map((device) => ['-device', JSON.stringify(device)]),
  ].flat()
}

/** A SCSI disk has a controller of its own in the disk's slot, so that neither depends on other disks. */
function devicesOf(disk: DiskInput, index: number, iothread: string): readonly object[] {
  const node = diskNode(index)
  // The guest boots only from the first disk and from CD-ROMs.
  const boot = index === 0 ? { bootindex: disk.bootIndex ?? 1 } : {}
  const drive = { id: diskDevice(index), drive: node, serial: disk.name, ...boot }
  if (disk.bus !== 'scsi') return [{ driver: 'virtio-blk-pci', iothread, ...drive, ...atSlot(disk.slot) }]
  const controller = { driver: 'virtio-scsi-pci', id: `${node}-scsi`, iothread, ...atSlot(disk.slot) }
  return [controller, { driver: 'scsi-hd', bus: `${node}-scsi.0`, ...drive }]
}

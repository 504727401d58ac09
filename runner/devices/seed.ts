import { at } from './pci-slots.ts'

/**
 * The NoCloud seed is a read-only disk after all others. A kernel that boots from virtio-blk finds it without other drivers (cloud kernels may lack
 * AHCI), and it does not change the names of the other disks. It is read-only and needs no lock.
 */
export function seedArguments(path: string): string[] {
  const node = { driver: 'raw', 'node-name': 'seed', 'read-only': true, file: { driver: 'file', filename: path, locking: 'off' } }
  return [
    ['-blockdev', JSON.stringify(node)],
    ['-device', JSON.stringify({ driver: 'virtio-blk-pci', id: 'seed-device', drive: 'seed', serial: 'cidata', ...at('seed') })],
  ].flat()
}

import type { GrantedNic } from './lease.ts'
import type { AcceleratorInUse } from '../src/api/wire/common.ts'

/** All inputs of QEMU's command line. Descriptor numbers are those in the QEMU process. */
export interface QemuInputs {
  readonly uid: string
  readonly vm: string
  readonly machineType: string
  readonly cores: number
  readonly memoryMiB: number
  readonly accelerator: AcceleratorInUse
  /** `/dev/kvm`, opened by the broker. Set exactly when `accelerator` is `kvm`. */
  readonly kvmFd: number | undefined
  /** In boot order. */
  readonly disks: readonly DiskInput[]
  readonly nics: readonly { readonly nic: GrantedNic; readonly fd: number; readonly slot: number }[]
  readonly seedPath: string
  readonly qmpFd: number
  readonly serialFd: number
}

export interface DiskInput {
  readonly name: string
  readonly path: string
  /** PCI slot, from the VM's identity. */
  readonly slot: number
  readonly readOnly: boolean
  /** Grow it to this size; undefined leaves it. */
  readonly sizeBytes?: number | undefined
}

/**
 * PCI slots on q35's root bus, by kind and index. Guests name their interfaces after them (enp0s2), so they are fixed for the VM's life: never move
 * one. NICs have 2 to 9 (src/api/wire/nic-slots.ts), disks 10 to 25 (src/api/disk-slots.ts). Free: 1 (display), 30 (virtio-serial). The chipset uses 0 and 31.
 */
const slots = { rng: 26, balloon: 27, seed: 28, pvpanic: 29 } as const
type SlotKind = keyof typeof slots

/**
 * Limit for TCG's translated code. QEMU's default is an eighth of the host's memory, up to 1 GiB. That exceeds the task's memory limit, and the
 * kernel would kill the VM.
 */
const tcgCacheMiB = 128

/**
 * Pure. User-provided values are passed as JSON, or match a pattern without commas (`vmNamePattern`, `uidField`), since commas separate QEMU
 * options.
 */
export function qemuArguments(inputs: QemuInputs): string[] {
  return [
    ...basics(inputs),
    ...accelerator(inputs),
    ...channels(inputs),
    ...inputs.disks.flatMap((disk, index) => diskArguments(disk, index)),
    ...inputs.nics.flatMap(nicArguments),
    ...seedArguments(inputs.seedPath),
    ...helpers(),
  ]
}

function basics(inputs: QemuInputs): string[] {
  const machine = `type=${inputs.machineType},usb=off,vmport=off,dump-guest-core=off,graphics=off`
  return [
    ['-name', `guest=${inputs.vm},process=vm-${inputs.vm},debug-threads=on`],
    ['-machine', machine],
    ['-uuid', inputs.uid],
    ['-smp', `cpus=${inputs.cores},sockets=1,cores=${inputs.cores},threads=1`],
    ['-m', `size=${inputs.memoryMiB}M`],
    ['-no-user-config'],
    ['-nodefaults'],
    ['-display', 'none'],
    ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ['-rtc', 'base=utc'],
    ['-boot', 'strict=on'],
    // Nothing could wake a suspended guest.
    ['-global', 'ICH9-LPC.disable_s3=1'],
    ['-global', 'ICH9-LPC.disable_s4=1'],
    // The guest waits for `cont`, so that no event is missed. QEMU waits for `quit` after the guest's end, so that the reason can be read.
    ['-S'],
    ['-no-shutdown'],
  ].flat()
}

function accelerator(inputs: QemuInputs): string[] {
  switch (inputs.accelerator) {
    case 'kvm':
      // The container cannot open the device node, so an fdset provides it (QEMU 9.0 and later).
      return ['-add-fd', `fd=${inputs.kvmFd},set=7`, '-accel', 'kvm,device=/dev/fdset/7', '-cpu', 'host']
    case 'tcg':
      return ['-accel', `tcg,thread=multi,tb-size=${tcgCacheMiB}`, '-cpu', 'max']
  }
}

/** QMP and the first serial port use descriptors whose other end is the runner, so no other process can open them by path. */
function channels(inputs: QemuInputs): string[] {
  return [
    ['-chardev', `socket,id=qmp,fd=${inputs.qmpFd}`],
    ['-mon', 'chardev=qmp,mode=control'],
    ['-chardev', `socket,id=serial0,fd=${inputs.serialFd}`],
    ['-device', JSON.stringify({ driver: 'isa-serial', id: 'serial0-port', chardev: 'serial0' })],
  ].flat()
}

/**
 * Uses the host's page cache (`direct: false`): it works on every file system, and the guest's flushes still reach the disk. Locking is required
 * (`locking: on`): the image lock is the last protection against two writers.
 */
/** The block node of a disk, by its place in the boot order. */
export function diskNode(index: number): string {
  return `disk${index}`
}

function diskArguments(disk: DiskInput, index: number): string[] {
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
  const device = { driver: 'virtio-blk-pci', id: `${node}-device`, drive: node, serial: disk.name, ...atSlot(disk.slot) }
  return [
    ['-blockdev', JSON.stringify(file)],
    ['-blockdev', JSON.stringify(image)],
    // The guest boots only from the first disk.
    ['-device', JSON.stringify(index === 0 ? { ...device, bootindex: 1 } : device)],
  ].flat()
}

/** No option ROM: a VM never boots from the network. */
function nicArguments({ nic, fd, slot }: QemuInputs['nics'][number], index: number): string[] {
  const device = { driver: 'virtio-net-pci', id: `nic${index}-device`, netdev: `nic${index}`, mac: nic.mac, host_mtu: nic.mtu, romfile: '' }
  return ['-netdev', `tap,id=nic${index},fd=${fd},vhost=off`, '-device', JSON.stringify({ ...device, ...atSlot(slot) })]
}

/**
 * The NoCloud seed is a read-only disk after all others. A kernel that boots from virtio-blk finds it without other drivers (cloud kernels may lack
 * AHCI), and it does not change the names of the other disks. It is read-only and needs no lock.
 */
function seedArguments(path: string): string[] {
  const node = { driver: 'raw', 'node-name': 'seed', 'read-only': true, file: { driver: 'file', filename: path, locking: 'off' } }
  return [
    ['-blockdev', JSON.stringify(node)],
    ['-device', JSON.stringify({ driver: 'virtio-blk-pci', id: 'seed-device', drive: 'seed', serial: 'cidata', ...at('seed') })],
  ].flat()
}

function helpers(): string[] {
  const devices = [
    { driver: 'virtio-rng-pci', id: 'rng0-device', rng: 'rng0', ...at('rng') },
    // Returns memory that the guest has freed to the host.
    { driver: 'virtio-balloon-pci', id: 'balloon0', 'free-page-reporting': true, ...at('balloon') },
    { driver: 'pvpanic-pci', id: 'pvpanic0', ...at('pvpanic') },
  ]
  return ['-object', '{"qom-type":"rng-builtin","id":"rng0"}', ...devices.flatMap((device) => ['-device', JSON.stringify(device)])]
}

function at(kind: SlotKind, index = 0): { bus: string; addr: string } {
  return atSlot(slots[kind] + index)
}

function atSlot(slot: number): { bus: string; addr: string } {
  return { bus: 'pcie.0', addr: `0x${slot.toString(16)}` }
}

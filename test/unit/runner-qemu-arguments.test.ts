import { expect, test } from 'vitest'
import type { QemuInputs } from '../../runner/devices/inputs.ts'
import { qemuArguments } from '../../runner/qemu-arguments.ts'
import { uid } from './runner-fakes.ts'
import { aMac } from '../support/branded.ts'

const nic = { name: 'lan', tap: 'sv0123456789ab', bridge: 'br0', mac: aMac('52:54:00:12:34:56'), mtu: 1450 }

function inputs(changes: Partial<QemuInputs> = {}): QemuInputs {
  return {
    uid,
    vm: 'web-1',
    machineType: 'pc-q35-10.0',
    cpu: { cores: 2, model: undefined },
    memoryMiB: 512,
    accelerator: 'kvm',
    kvmFd: 5,
    disks: [{ name: 'root', path: '/vm/disks/root.qcow2', slot: 10, readOnly: false }],
    nics: [{ nic, fd: 6, slot: 2 }],
    seedPath: '/tmp/seed-x/seed.iso',
    firmware: undefined,
    qmpFd: 3,
    serialFd: 4,
    agentFd: 5,
    ...changes,
  }
}

test('the whole command line under KVM is the one that is written down', () => {
  expect(qemuArguments(inputs())).toMatchSnapshot()
})

test('the whole command line under TCG, with two disks and no network, is the one that is written down', () => {
  const disks = [
    { name: 'root', path: '/vm/disks/root.qcow2', slot: 10, readOnly: false },
    { name: 'data', path: '/vm/disks/data.qcow2', slot: 11, readOnly: false },
  ]
  expect(qemuArguments(inputs({ accelerator: 'tcg', kvmFd: undefined, nics: [], disks }))).toMatchSnapshot()
})

test.each([
  [{ cores: 2, sockets: 2, threads: 2, model: undefined }, 'kvm', 'cpus=8,sockets=2,cores=2,threads=2', 'host'],
  [{ cores: 1, model: 'EPYC-Rome-v2' }, 'kvm', 'cpus=1,sockets=1,cores=1,threads=1', 'EPYC-Rome-v2'],
  [{ cores: 1, model: 'qemu64' }, 'tcg', 'cpus=1,sockets=1,cores=1,threads=1', 'qemu64'],
  [{ cores: 1, model: 'host' }, 'tcg', 'cpus=1,sockets=1,cores=1,threads=1', 'max'],
] as const)('the guest has the processors %j under %s', (cpu, accelerator, smp, model) => {
  const args = qemuArguments(inputs({ cpu, accelerator, kvmFd: accelerator === 'kvm' ? 5 : undefined }))
  expect([args[args.indexOf('-smp') + 1], args[args.indexOf('-cpu') + 1]]).toEqual([smp, model])
})

test('a comma or a quote in a path adds no option', () => {
  const path = '/odd,read-only=on,"}/root.qcow2'
  const args = qemuArguments(inputs({ disks: [{ name: 'root', path, slot: 10, readOnly: false }] }))
  const files = args.filter((arg) => arg.includes('disk0-file')).map((arg) => JSON.parse(arg) as Record<string, unknown>)
  expect(files[0]?.['filename']).toBe(path)
})

test('a guest sees its devices at the same addresses whatever else the VM has', () => {
  const addressOf = (args: string[], id: string): unknown =>
    args
      .filter((arg) => arg.startsWith('{'))
      .map((arg) => JSON.parse(arg) as Record<string, unknown>)
      .find((device) => device['id'] === id)?.['addr']
  const small = qemuArguments(inputs({ nics: [] }))
  const many = Array.from({ length: 16 }, (_, index) => ({
    name: `d${index}`,
    path: `/vm/disks/d${index}.qcow2`,
    slot: 10 + index,
    readOnly: false,
  }))
  const large = qemuArguments(inputs({ disks: many, nics: Array.from({ length: 8 }, (_, index) => ({ nic, fd: index, slot: 2 + index })) }))
  for (const id of ['disk0-device', 'seed-device', 'rng0-device', 'balloon0', 'pvpanic0']) {
    expect(addressOf(small, id)).toBe(addressOf(large, id))
  }
  const addresses = large.filter((arg) => arg.includes('"addr"')).map((arg) => (JSON.parse(arg) as { addr: string }).addr)
  expect(new Set(addresses).size).toBe(addresses.length)
  expect(Math.max(...addresses.map((one) => Number(one.split('.')[0])))).toBeLessThan(30)
})

test('a disk keeps its slot when the order of the disks changes, and the first one boots', () => {
  const root = { name: 'root', path: '/vm/disks/root.qcow2', slot: 10, readOnly: false }
  const data = { name: 'data', path: '/vm/disks/data.qcow2', slot: 12, readOnly: false }
  const devices = qemuArguments(inputs({ disks: [data, root] }))
    .filter((arg) => arg.includes('"virtio-blk-pci"'))
    .map((arg) => JSON.parse(arg) as { serial: string; addr: string; bootindex?: number })
  expect(devices).toMatchObject([
    { serial: 'data', addr: '0xc', bootindex: 1 },
    { serial: 'root', addr: '0xa' },
    { serial: 'cidata', addr: '0x1c' },
  ])
})

test('a SCSI disk has a controller in its slot, and every disk an I/O thread with few workers', () => {
  const root = { name: 'root', path: '/vm/disks/root.qcow2', slot: 10, readOnly: false, bus: 'scsi' } as const
  const data = { name: 'data', path: '/vm/disks/data.qcow2', slot: 12, readOnly: false }
  const found = qemuArguments(inputs({ disks: [root, data] }))
    .filter((arg) => /"id":"disk/.test(arg))
    .map((arg) => JSON.parse(arg) as Record<string, unknown>)
  expect(found).toMatchObject([
    { 'qom-type': 'iothread', id: 'disk0-thread', 'thread-pool-max': 8 },
    { driver: 'virtio-scsi-pci', id: 'disk0-scsi', iothread: 'disk0-thread', addr: '0xa' },
    { driver: 'scsi-hd', bus: 'disk0-scsi.0', drive: 'disk0', serial: 'root', bootindex: 1 },
    { 'qom-type': 'iothread', id: 'disk1-thread' },
    { driver: 'virtio-blk-pci', iothread: 'disk1-thread', addr: '0xc' },
  ])
})

test('a read-only disk is opened read-only, and locked as every disk is', () => {
  const disk = { name: 'data', path: '/vm/disks/data.qcow2', slot: 11, readOnly: true }
  const nodes = qemuArguments(inputs({ disks: [disk] }))
    .filter((arg) => arg.includes('"node-name":"disk0'))
    .map((arg) => JSON.parse(arg) as Record<string, unknown>)
  expect(nodes).toMatchObject([
    { 'node-name': 'disk0-file', 'read-only': true, locking: 'on' },
    { 'node-name': 'disk0', 'read-only': true },
  ])
})

const devicesOf = (args: readonly string[]) =>
  args.filter((arg) => arg.startsWith('{')).map((arg) => JSON.parse(arg) as Record<string, unknown>)

test('drives come with the disks in the order of the manifest, and are empty until their disc is inserted', () => {
  const cdroms = [
    { name: 'tools', bootIndex: 1 },
    { name: 'empty', bootIndex: 3 },
  ]
  const disk = { name: 'root', path: '/vm/disks/root.qcow2', slot: 10, readOnly: false, bootIndex: 2 }
  const devices = devicesOf(qemuArguments(inputs({ cdroms, disks: [disk] })))
  expect(devices.filter((one) => one['driver'] === 'ide-cd')).toEqual([
    { driver: 'ide-cd', id: 'cdrom0', bus: 'ide.0', unit: 0, serial: 'tools', bootindex: 1 },
    { driver: 'ide-cd', id: 'cdrom1', bus: 'ide.1', unit: 0, serial: 'empty', bootindex: 3 },
  ])
  expect(devices.find((one) => one['id'] === 'disk0-device')).toMatchObject({ bootindex: 2, addr: '0xa' })
})

test('a display, a drive and a watchdog move no other device', () => {
  const addresses = (args: readonly string[]) =>
    Object.fromEntries(devicesOf(args).flatMap(({ id, addr }) => (addr === undefined ? [] : [[String(id), addr]])))
  const cdroms = [{ name: 'tools', bootIndex: 2 }]
  const args = qemuArguments(inputs({ cdroms, vncSocket: '/vm/run/vnc.sock', watchdog: 'poweroff' }))
  expect(addresses(args)).toEqual({ ...addresses(qemuArguments(inputs())), display0: '0x1', watchdog0: '0x1d.1' })
  expect(args).toEqual(expect.arrayContaining(['-vnc', 'unix:/vm/run/vnc.sock', '-action', 'watchdog=none']))
  expect(args).not.toContain('none')
})

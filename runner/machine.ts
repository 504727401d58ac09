import type { Identity } from '../src/api/wire/identity.ts'
import type { VmPaths } from './config.ts'
import type { CdromInput, DiskInput, FirmwareInput } from './devices/inputs.ts'
import { forwardsOf, natOf } from './devices/user-nics.ts'
import { cdromsOf, disksOf, type Launch, maxDiskBytes, type SlottedNic } from './launch-files.ts'
import type { Lease } from './lease.ts'
import type { QemuMachine } from './qemu.ts'

/** The inputs of QEMU, apart from the lease. */
export interface Machine {
  readonly launch: Launch
  readonly nics: readonly SlottedNic[]
  readonly machineType: string
  readonly disks: readonly DiskInput[]
  readonly cdroms: readonly CdromInput[]
  readonly vncSocket: string | undefined
  readonly seedPath: string
  readonly firmware?: FirmwareInput | undefined
  readonly maxDiskBytes: number
}

export function machineOf(launch: Launch, nics: readonly SlottedNic[], identity: Identity, paths: VmPaths): Omit<Machine, 'seedPath'> {
  return {
    launch,
    nics,
    machineType: identity.machineType,
    maxDiskBytes: maxDiskBytes(identity),
    vncSocket: launch.launch.vnc === true ? paths.vncSocket : undefined,
    cdroms: cdromsOf(launch.launch),
    disks: disksOf(launch.launch, identity, (name) => paths.disk(name)),
  }
}

export function qemuMachine(machine: Machine, lease: Lease): QemuMachine {
  const { launch } = machine.launch
  return {
    uid: launch.uid,
    vm: launch.vm,
    machineType: machine.machineType,
    cpu: { cores: launch.cores, sockets: launch.sockets, threads: launch.threads, model: launch.cpuModel },
    memoryMiB: launch.memoryMiB,
    accelerator: lease.accelerator,
    kvmFd: lease.kvmFd,
    disks: machine.disks,
    nics: machineNics(machine, lease),
    seedPath: machine.seedPath,
    cdroms: machine.cdroms,
    vncSocket: machine.vncSocket,
    watchdog: launch.watchdog,
    firmware: machine.firmware,
  }
}

/** The lease has the TAPs; NICs behind NAT need none. */
function machineNics({ launch: { launch }, nics }: Machine, lease: Pick<Lease, 'nics'>): QemuMachine['nics'] {
  const users = nics.filter(({ user }) => user !== undefined)
  const forwards = forwardsOf(users.map(({ user }) => ({ ports: user?.ports ?? [] })))
  return nics.flatMap((one): QemuMachine['nics'][number][] => {
    const { name, mac, slot } = one
    if (one.user === undefined) return lease.nics.filter(({ nic }) => nic.name === name).map((tap) => ({ ...tap, slot }))
    const fixed = launch.cloudInit.networks?.find((network) => network.name === name)
    return [{ mac, slot, nat: natOf(slot, fixed), forwards: forwards[users.indexOf(one)] ?? [] }]
  })
}

import type { VirtualMachine } from '../../api/manifest.ts'
import { memoryOverheadBytes, type MachineShape, type OverheadSettings } from '../../api/memory-overhead.ts'
import type { Firmware } from '../../api/wire/common.ts'
import type { LaunchConfig } from '../../api/wire/launch.ts'
import { firmwareOf } from './applied.ts'

export function shapeOf(vm: VirtualMachine): MachineShape {
  const { spec } = vm
  const { cpu, resources } = spec
  const explicit = resources?.memoryOverhead ?? 'auto'
  return {
    ...cpu,
    memoryMiB: Math.floor(spec.memory / 1024 ** 2),
    accelerator: spec.accelerator,
    // A CD-ROM drive has no size.
    diskBytes: spec.disks.map(({ size = 0 }) => size),
    display: spec.console?.vnc === true,
    nics: spec.networks.length,
    userNics: spec.networks.filter(({ user }) => user !== undefined).length,
    ...firmwareShape(firmwareOf(vm)),
    memoryOverheadBytes: explicit === 'auto' ? undefined : explicit,
  }
}

/** The shape that a running VM was started with. A launch config contains no sizes of disks, so they are those of the manifest. */
export function runningShape(launch: LaunchConfig, vm: VirtualMachine): MachineShape {
  const sizes = new Map(vm.spec.disks.map(({ name, size }) => [name, size]))
  return {
    cores: launch.cores,
    sockets: launch.sockets,
    threads: launch.threads,
    memoryMiB: launch.memoryMiB,
    accelerator: launch.accelerator,
    diskBytes: launch.disks.map(({ name }) => sizes.get(name) ?? 0),
    display: launch.vnc === true,
    nics: launch.nics.length,
    userNics: launch.nics.filter(({ user }) => user !== undefined).length,
    ...firmwareShape(launch.firmware),
    memoryOverheadBytes: launch.memoryOverheadBytes,
  }
}

function firmwareShape(firmware: Firmware | undefined): Pick<MachineShape, 'firmware' | 'tpm'> {
  return { firmware: firmware?.mode ?? 'bios', tpm: firmware?.tpm === true }
}

/** Guest and overhead. */
export function memoryNeedBytes(vm: VirtualMachine, settings: OverheadSettings): number {
  return vm.spec.memory + memoryOverheadBytes(shapeOf(vm), settings)
}

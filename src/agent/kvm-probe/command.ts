export type ProbeAccelerator =
  | { kind: 'tcg' }
  /** Number of the /dev/kvm descriptor in QEMU's process. */
  | { kind: 'kvm'; fd: number }

export type ProbeCommand = {
  accelerator: ProbeAccelerator
  /** Path of the file with the content of `kvmProbeImage()`. */
  image: string
  /** The VMs' machine type, since KVM may fail on one machine type and work on another. */
  machine: string
}

/** The guest touches pages up to 50 MiB. */
const memoryMiB = 64
/** Any number that no other set uses. */
const fdSet = 7

/**
 * QEMU's arguments for one run of the KVM probe, with the CPU model of the VMs. KVM is an open descriptor in a descriptor set, which QEMU supports
 * since 9.0. No path is opened for it.
 */
export function probeArguments({ accelerator, image, machine }: ProbeCommand): string[] {
  // A triple fault resets the machine. `-no-reboot` ends QEMU instead.
  const bare = '-nodefaults -no-user-config -no-reboot -display none -serial none -monitor none'.split(' ')
  const exit = ['-device', 'isa-debug-exit,iobase=0xf4,iosize=0x04']
  // QEMU reads a doubled comma in a value as one comma.
  const disk = ['-drive', `file=${image.replaceAll(',', ',,')},format=raw,if=virtio,readonly=on`]
  const sandbox = ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny']
  return ['-machine', machine, ...acceleratorArguments(accelerator), '-m', String(memoryMiB), ...bare, ...exit, ...disk, ...sandbox]
}

function acceleratorArguments(accelerator: ProbeAccelerator): string[] {
  if (accelerator.kind === 'tcg') return ['-accel', 'tcg', '-cpu', 'max']
  return ['-add-fd', `fd=${accelerator.fd},set=${fdSet}`, '-accel', `kvm,device=/dev/fdset/${fdSet}`, '-cpu', 'host']
}

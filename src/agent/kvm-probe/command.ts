export type ProbeAccelerator =
  | { kind: 'tcg' }
  /** The number that the descriptor of /dev/kvm has in QEMU's process. */
  | { kind: 'kvm'; fd: number }

export type ProbeCommand = {
  accelerator: ProbeAccelerator
  /** Path of the file that holds `kvmProbeImage()`. */
  image: string
  /** The VMs' machine type, since KVM may fail on one and pass on another. */
  machine: string
}

/** The guest touches pages up to 50 MiB. */
const memoryMiB = 64
/** Any number that no other set has. */
const fdSet = 7

/**
 * QEMU's arguments for one run of the KVM probe, with the processor model that VMs get. KVM comes as an open descriptor and is
 * taken through a descriptor set, which QEMU can do since 9.0; nothing is opened by path.
 */
export function probeArguments({ accelerator, image, machine }: ProbeCommand): string[] {
  // A guest that faults three times resets its machine: `-no-reboot` lets that end QEMU instead of starting over.
  const bare = '-nodefaults -no-user-config -no-reboot -display none -serial none -monitor none'.split(' ')
  const exit = ['-device', 'isa-debug-exit,iobase=0xf4,iosize=0x04']
  // A comma in a value is written twice.
  const disk = ['-drive', `file=${image.replaceAll(',', ',,')},format=raw,if=virtio,readonly=on`]
  const sandbox = ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny']
  return ['-machine', machine, ...acceleratorArguments(accelerator), '-m', String(memoryMiB), ...bare, ...exit, ...disk, ...sandbox]
}

function acceleratorArguments(accelerator: ProbeAccelerator): string[] {
  if (accelerator.kind === 'tcg') return ['-accel', 'tcg', '-cpu', 'max']
  return ['-add-fd', `fd=${accelerator.fd},set=${fdSet}`, '-accel', `kvm,device=/dev/fdset/${fdSet}`, '-cpu', 'host']
}

/** Fields and values of the design's shape that no code stands behind yet, with what they will be: refused as such, never ignored. A `*` is any list index. */
export const notYetFields: ReadonlyMap<string, string> = new Map([
  ['spec.class', 'A VirtualMachineClass whose values hold where the VM has none of its own.'],
  ['spec.cpu.model', 'CPU model that the guest sees.'],
  ['spec.updatePolicy', 'When an edit that needs a restart takes hold.'],
  ['spec.firmware', 'BIOS or UEFI, secure boot, TPM, or a kernel to boot directly.'],
  ['spec.disks.*.cdrom', 'A read-only ISO image.'],
  ['spec.disks.*.image.insecure', 'Takes an image from the network without its sha256.'],
  ['spec.networks.*.vlan', 'VLAN on the bridge.'],
  ['spec.networks.*.mtu', 'Largest packet of the NIC.'],
  ['spec.networks.*.address', 'IP address that a DHCP reservation is expected to give.'],
  ['spec.networks.*.user', 'Network address translation instead of a bridge.'],
  ['spec.networks.*.direct', 'A NIC directly on a device of the host.'],
  ['spec.cloudInit.userDataSecret', 'Swarm secret that holds the user data.'],
  ['spec.cloudInit.networkData', 'cloud-init network configuration.'],
  ['spec.placement', 'Constraints on the nodes the VM may be placed on.'],
  ['spec.resources', 'Limits and reservations beyond the guest itself.'],
  ['spec.console', 'Serial and graphical console.'],
  ['spec.readiness.http', 'Ready once an HTTP request succeeds.'],
  ['spec.readiness.ssh', 'Ready once an SSH server answers.'],
  ['spec.readiness.guestAgent', "Ready once the guest's agent answers."],
  ['spec.terminationGracePeriod', 'How long a shutdown may take.'],
  ['spec.deletionPolicy', 'What becomes of the disks when the VM is removed.'],
])

/** Values of fields that exist otherwise. */
/** A map, since a path comes from the document: `constructor` must find nothing. */
export const notYetValues: ReadonlyMap<string, readonly string[]> = new Map([['spec.runStrategy', ['RerunOnFailure', 'Once', 'Manual']]])

/** Lists that take one entry so far. */
export const notYetLists: ReadonlySet<string> = new Set(['spec.disks', 'spec.networks'])

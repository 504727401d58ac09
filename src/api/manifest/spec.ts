import { z } from 'zod'
import { interfaceNamePattern, partNamePattern } from '../names.ts'
import { field } from './about.ts'
import { duration, hostname, ipv4, ipv4InSubnet, listedIpv4, macAddress, port, publicKey, quantity } from './values.ts'

/** The whole schema of a VM's spec. Every field has a description, the effect of an edit, and whether it is supported yet. */

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'a sha256 is 64 lower-case hex digits')

/** A file `images/NAME` below the state root, without absolute paths and `..`. */
const localImage = /^images\/(?!\.)[A-Za-z0-9._+-]{1,200}$/
const localIso = /^isos\/(?!\.)[A-Za-z0-9._+-]{1,200}$/
/** A reference as `docker pull` accepts it: host, path, tag and digest. It is checked further when it is pulled. */
const ociImage = /^oci:\/\/[a-z0-9.-]+(:\d{1,5})?(\/[a-z0-9._-]+)+(:[A-Za-z0-9_.-]{1,128})?(@sha256:[0-9a-f]{64})?$/

/** A URL without user and password, and without parts that a URL parser would drop or correct. */
const networkImage = /^https?:\/\/(?![^/?#]*@)[^\s\\]+$/

export function isNetworkImage(source: string): boolean {
  return networkImage.test(source) && URL.canParse(source)
}

/** For the JSON Schema, which cannot parse a URL. */
const anyImage = [localImage, networkImage, ociImage].map(({ source }) => source).join('|')

const image = field(
  z.strictObject({
    source: field(
      z
        .string()
        .max(2048)
        .refine((source) => localImage.test(source) || isNetworkImage(source) || ociImage.test(source), {
          message: 'an image source is images/NAME (a file in the images directory of the state root) or an http(s):// URL',
        })
        .meta({ pattern: anyImage, patternErrorMessage: 'an image source is images/NAME or an http(s):// URL' }),
      {
        description:
          'images/NAME, a file in the images directory of every node that may run the VM (/var/lib/swarmvirt/images), or an http:// or https:// URL, which needs sha256.',
        form: 'images/debian-13.qcow2',
        effect: 'destroys-data',
        notYetValues: ['oci://'],
      },
    ),
    sha256: field(sha256.optional(), {
      description: 'SHA-256 of the image file. Required for a URL. Optional for images/NAME: the file must then match.',
      needed: 'for a URL',
      effect: 'destroys-data',
    }),
    insecure: field(z.boolean().optional(), {
      description: 'true takes an image from the network without its sha256: whatever is served there becomes the disk.',
      effect: 'live',
      notYet: true,
    }),
  }),
  {
    description: 'Initial content of the disk: a qcow2 or raw image, which is copied and never written to. Without it, the disk is blank.',
    effect: 'destroys-data',
  },
)

const disk = z.strictObject({
  name: field(z.string().regex(partNamePattern, 'a disk name is 1 to 20 characters of a-z 0-9 -'), {
    description: 'Names the disk file on the node.',
    effect: 'destroys-data',
  }),
  size: field(quantity('1Mi').optional(), {
    description: 'Size that the guest sees. A disk can grow, at a restart, and cannot shrink.',
    needed: 'yes',
    effect: 'restart',
  }),
  image: image.optional(),
  readOnly: field(z.boolean().optional(), {
    description: 'true attaches the disk so that the guest cannot write to it.',
    effect: 'restart',
  }),
  cdrom: field(
    z
      .strictObject({
        path: field(z.string().regex(localIso, 'a CD-ROM is isos/NAME, a file in the isos directory of the state root'), {
          description: "isos/NAME, a file in the isos directory of the node's state root.",
          effect: 'restart',
        }),
      })
      .optional(),
    { description: 'A read-only ISO image.', effect: 'restart', notYet: true },
  ),
})

const network = z.strictObject({
  name: field(z.string().regex(partNamePattern, 'a network name is 1 to 20 characters of a-z 0-9 -'), {
    description: 'Name of the NIC. Its PCI slot belongs to it. With mac: auto, the MAC depends on it.',
    effect: 'restart',
  }),
  bridge: field(z.string().regex(interfaceNamePattern, 'a bridge name is 1 to 15 characters').optional(), {
    description:
      'Bridge of the node that the NIC is attached to, such as br0. The broker of the node must allow it. On the node, `ip -brief link show type bridge` lists its bridges.',
    needed: 'yes',
    effect: 'restart',
  }),
  mac: field(macAddress().prefault('auto'), {
    description: 'MAC address of the NIC. auto computes it from the names of cluster, VM and network, so it is the same on every node.',
    effect: 'restart',
  }),
  address: field(ipv4().optional(), {
    description:
      'IPv4 address that the DHCP reservation for this MAC is expected to give. swarmvirt does not create the reservation. A guest that gets another address is not Ready.',
    effect: 'live',
  }),
  ipv4: field(
    z
      .strictObject({
        address: field(ipv4InSubnet(), {
          description: 'Static IPv4 address of the guest, with the prefix length. Other nodes probe it.',
          effect: 'first-boot',
        }),
        gateway: field(ipv4().optional(), {
          description: 'Default gateway. Without it, the NIC has no default route.',
          effect: 'first-boot',
        }),
        nameservers: field(z.array(listedIpv4()).max(8).default([]), { description: 'DNS servers.', effect: 'first-boot' }),
      })
      .optional(),
    {
      description: 'Static address of the NIC instead of DHCP. cloud-init configures it in the guest.',
      effect: 'first-boot',
    },
  ),
  vlan: field(z.int().min(1).max(4_094).optional(), { description: 'VLAN on the bridge.', effect: 'restart', notYet: true }),
  mtu: field(z.int().min(576).max(65_521).optional(), {
    description:
      'Largest packet that the guest sends on the NIC, in bytes without the Ethernet header. The bridge must have at least this MTU. Default: the MTU of the bridge.',
    effect: 'restart',
  }),
  user: field(
    z
      .strictObject({
        ports: z
          .array(
            z.strictObject({
              name: field(z.string().regex(partNamePattern), { description: 'Names the port; its number on the node follows from it.' }),
              guest: field(port(), { description: 'TCP port of the guest.' }),
            }),
          )
          .max(32)
          .default([])
          .describe('Ports of the guest that the node forwards.'),
      })
      .optional(),
    { description: 'Network address translation instead of a bridge.', effect: 'restart', notYet: true },
  ),
  direct: field(
    z
      .strictObject({
        device: field(z.string().regex(interfaceNamePattern), { description: 'Interface of the host.' }),
        mode: field(z.enum(['bridge', 'vepa', 'private', 'passthru']).default('bridge'), { description: 'Mode of the macvtap.' }),
      })
      .optional(),
    { description: 'A NIC directly on a device of the host.', effect: 'restart', notYet: true },
  ),
})

const probedPort = (what: string) => field(port(), { description: what, effect: 'live' })
const readiness = z.union(
  [
    z.strictObject({
      ping: field(z.literal(true), { description: 'Ready once another node reaches the VM with a ping.', effect: 'live' }),
    }),
    z.strictObject({ tcp: probedPort('Ready once a connection to this TCP port is accepted.') }),
    z.strictObject({
      http: field(
        z.strictObject({
          port: field(port(), { description: 'TCP port of the guest.' }),
          path: field(z.string().max(1024).regex(/^\//, 'a path begins with /').default('/'), { description: 'Path to request.' }),
        }),
        { description: 'Ready once an HTTP request succeeds.', effect: 'live', notYet: true },
      ),
    }),
    z.strictObject({ ssh: field(port(), { description: 'Ready once an SSH server answers.', effect: 'live', notYet: true }) }),
    z.strictObject({
      guestAgent: field(z.literal(true), { description: "Ready once the guest's agent answers.", effect: 'live', notYet: true }),
    }),
  ],
  'readiness is one of ping: true and tcp: PORT',
)

const cloudInit = z.strictObject({
  userData: field(
    z
      .string()
      .max(256 * 1024)
      .optional(),
    { description: 'cloud-init user data, such as a #cloud-config. It travels as a Swarm secret.', effect: 'first-boot' },
  ),
  userDataSecret: field(
    z
      .string()
      .regex(/^[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?$/, 'not a name of a Swarm secret')
      .optional(),
    {
      description: 'Swarm secret that holds the user data.',
      effect: 'first-boot',
      notYet: true,
    },
  ),
  networkData: field(
    z
      .string()
      .max(64 * 1024)
      .optional(),
    { description: 'cloud-init network configuration.', effect: 'first-boot', notYet: true },
  ),
  sshAuthorizedKeys: field(z.array(publicKey()).max(64).default([]), {
    description:
      "Public keys for the guest's default user, one OpenSSH line each. Most images let nobody in without one. They are public, so they travel in a Swarm config.",
    effect: 'first-boot',
  }),
})

/** The fields that a class can set as well. */
export const machineFields = {
  cpu: field(
    z
      .strictObject({
        cores: field(z.int().min(1).max(256).default(1), { description: 'Virtual CPUs of the guest.', effect: 'restart' }),
        model: field(
          z
            .string()
            .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'not a CPU model of QEMU')
            .optional(),
          {
            description: 'CPU model that the guest sees: host, max, or one that QEMU knows.',
            effect: 'restart',
            notYet: true,
          },
        ),
      })
      .prefault({}),
    { description: 'Processors.', effect: 'restart' },
  ),
  memory: field(quantity('32Mi'), {
    description: 'Memory of the guest. QEMU needs some more on the node.',
    needed: 'yes, unless its class gives it',
    effect: 'restart',
  }),
  accelerator: field(z.enum(['auto', 'kvm', 'tcg']).default('auto'), {
    description:
      'kvm: only on nodes with working KVM. tcg: software emulation, which is slow. auto: KVM if it works on the node, otherwise tcg if the cluster allows it.',
    effect: 'restart',
  }),
  updatePolicy: field(z.enum(['OnRestart', 'Restart']).default('OnRestart'), {
    description:
      'When an edit that needs a restart is applied. OnRestart waits until the VM is halted or restarted and shows RestartRequired; Restart restarts it at once.',
    effect: 'live',
  }),
  firmware: field(
    z
      .strictObject({
        mode: field(z.enum(['bios', 'uefi']).default('bios'), { description: 'bios or uefi.' }),
        secureBoot: field(z.boolean().optional(), { description: 'Boots signed systems only. Needs mode: uefi.' }),
        tpm: field(z.boolean().optional(), { description: 'A TPM 2.0 for the guest.' }),
        kernel: field(
          z
            .strictObject({
              image: field(z.string().regex(localImage, 'a kernel is images/NAME'), { description: 'images/NAME of the kernel.' }),
              initrd: field(z.string().regex(localImage, 'an initrd is images/NAME').optional(), {
                description: 'images/NAME of the initrd.',
              }),
              args: field(z.string().max(2048).optional(), { description: "The kernel's command line." }),
            })
            .optional(),
          { description: 'A kernel that QEMU boots directly.' },
        ),
      })
      .optional(),
    { description: 'BIOS or UEFI, secure boot, TPM, or a kernel to boot directly.', effect: 'restart', notYet: true },
  ),
  placement: field(
    z
      .strictObject({
        constraints: field(z.array(z.string().max(256)).max(32).default([]), { description: 'Constraints as Swarm services have them.' }),
        spread: field(z.string().max(128).optional(), { description: 'Node label whose values the VMs are spread over.' }),
        node: field(hostname().optional(), { description: 'The one node it may run on.' }),
      })
      .optional(),
    { description: 'Constraints on the nodes the VM may be placed on.', effect: 'recreate', notYet: true },
  ),
  resources: field(
    z
      .strictObject({
        memoryOverhead: field(z.union([z.literal('auto'), quantity('16Mi')]).default('auto'), {
          description: 'Memory beyond the guest’s.',
        }),
        cpuLimit: field(z.number().min(0.1).max(256).nullable().default(null), { description: 'CPUs of the node that it may use.' }),
        priority: field(z.int().min(-1000).max(1000).default(0), { description: 'Which VM yields when a node is full.' }),
      })
      .optional(),
    { description: 'Limits and reservations beyond the guest itself.', effect: 'restart', notYet: true },
  ),
  console: field(
    z
      .strictObject({
        serial: field(z.boolean().default(true), { description: 'A serial console.' }),
        vnc: field(z.boolean().default(false), { description: 'A graphical console.' }),
      })
      .optional(),
    { description: 'Serial and graphical console.', effect: 'restart', notYet: true },
  ),
  terminationGracePeriod: field(duration('1s', '1h').optional(), {
    description: 'How long a shutdown may take.',
    effect: 'recreate',
    notYet: true,
  }),
  deletionPolicy: field(z.enum(['Retain', 'Delete']).optional(), {
    description: 'Disks of a removed VM: Retain (default) keeps them, Delete destroys their data.',
    effect: 'live',
  }),
} as const

const className = /^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$/

export const spec = z.strictObject({
  runStrategy: field(z.enum(['Always', 'Halted', 'RerunOnFailure', 'Once', 'Manual']).default('Always'), {
    description: 'Always keeps the VM running. Halted shuts it down and keeps its disks.',
    effect: 'live',
    notYetValues: ['RerunOnFailure', 'Once', 'Manual'],
  }),
  class: field(z.string().regex(className, 'a class name is 1 to 50 characters of a-z 0-9 -').optional(), {
    description: 'Name of the VirtualMachineClass that gives the values that the VM does not set.',
    effect: 'restart',
  }),
  ...machineFields,
  disks: field(z.array(disk).min(1).max(16), {
    description: 'Disks, kept on the node the VM was placed on. The first one boots.',
    effect: 'destroys-data',
  }),
  networks: field(z.array(network).min(1).max(8), {
    description: 'Network interfaces, of which the first is the primary one: its address is shown and probed.',
    effect: 'first-boot',
  }),
  cloudInit: field(cloudInit.prefault({}), {
    description: 'Input of cloud-init in the guest. cloud-init applies most of it only at the first boot of an instance.',
    effect: 'first-boot',
  }),
  readiness: field(readiness.optional(), {
    description: 'When the guest itself counts as ready: one of ping and tcp. Without it, the VM is Ready once it is reachable.',
    effect: 'live',
  }),
})

import * as z from 'zod/mini'
import {
  acceleratorChoice,
  directGrant,
  firmware,
  interfaceField,
  ipv4Field,
  mtuField,
  partNameField,
  textField,
  vlanField,
} from './common.ts'
import { cpuModelPattern } from '../cpu-models.ts'
import { uidField, vmNameField } from '../names.ts'
import { macField } from '../mac.ts'

/**
 * The launch config: what the runner starts. It is a Swarm config (immutable, in Raft, readable by managers), so it contains no secret;
 * inline userData is a Swarm secret. It contains no paths, because the layout is fixed (layout.ts, inRunner).
 */
export const launchVersion = 1
/** A launch config with `needs`. A runner of release 0.1 rejects it, so that it never starts a VM with less than its manifest says. */
export const demandingVersion = 2
/** Abilities that a runner must have. It rejects a launch config with a need that it does not know. */
export const launchNeeds = [
  'cpu',
  'devices',
  'firmware',
  'scsi',
  'readOnlyDisks',
  'diskSizes',
  'staticAddresses',
  'userNetworks',
  'networkData',
] as const
export type LaunchNeed = (typeof launchNeeds)[number]

const portNumber = z.int().check(z.minimum(1), z.maximum(65_535))

/** A port of the guest that the runner forwards. `published`: the port of the node that Swarm leads to it. */
const forwardedPort = z.object({
  name: partNameField,
  guest: portNumber,
  published: z.optional(portNumber),
  protocol: z.enum(['tcp', 'udp']),
})
export type ForwardedPort = z.output<typeof forwardedPort>

/** NAT in the task instead of a TAP. The SSH port is among the ports. */
const userNic = z.object({ ports: z.array(forwardedPort).check(z.maxLength(33)) })

export const launchConfig = z.object({
  version: z.literal([launchVersion, demandingVersion]),
  /** Absent if release 0.1 can start the VM. */
  needs: z.optional(z.array(z.enum(launchNeeds)).check(z.maxLength(16))),
  uid: uidField,
  vm: vmNameField,
  /** Per socket. Absent sockets and threads are 1. */
  cores: z.int().check(z.minimum(1)),
  sockets: z.optional(z.int().check(z.minimum(1))),
  threads: z.optional(z.int().check(z.minimum(1))),
  /** Absent for all that the accelerator offers. */
  cpuModel: z.optional(z.string().check(z.regex(cpuModelPattern))),
  memoryMiB: z.int().check(z.minimum(1)),
  firmware: z.optional(firmware),
  /** Only for the controller, which cannot read it from the task's memory limit. Absent for `auto`. */
  memoryOverheadBytes: z.optional(z.int()),
  accelerator: acceleratorChoice,
  /** In boot order; the file is `disks/<name>.qcow2`. */
  disks: z
    .array(
      z.object({
        name: partNameField,
        readOnly: z.optional(z.literal(true)),
        /** Absent for virtio-blk. */
        bus: z.optional(z.literal('scsi')),
        /** A CD-ROM drive, whose disc is in the live part (live-part.ts). A runner that does not know it finds no such disk and ends. */
        cdrom: z.optional(z.object({ bus: z.literal('sata') })),
      }),
    )
    .check(z.minLength(1), z.maxLength(16)),
  /**
   * The controller grants all keys but `name`, `mac` and `user`. Absent in launch configs of release 0.1. A runner of 0.1 ignores `user`,
   * waits for a grant of that NIC and never starts the guest.
   */
  nics: z
    .array(
      z.object({
        name: partNameField,
        mac: macField,
        bridge: z.optional(interfaceField),
        mtu: z.optional(mtuField),
        vlan: z.optional(vlanField),
        isolated: z.optional(z.literal(true)),
        antiSpoof: z.optional(z.literal('off')),
        user: z.optional(userNic),
        direct: z.optional(directGrant),
      }),
    )
    .check(z.maxLength(8)),
  cloudInit: z.object({
    /**
     * cloud-init does its once-per-instance work once per instance id. This is the uid, so that a re-created VM with its old disk does not
     * start over, or `UID-VALUE` if the annotation `swarmvirt.dev/cloud-init-instance` has a value.
     */
    instanceId: textField,
    hostname: z.string().check(z.maxLength(64)),
    sshAuthorizedKeys: z.array(z.string().check(z.maxLength(16_384))).check(z.maxLength(64)),
    /** Static addresses, by the name of the NIC; the others use DHCP. Absent if there are none, and in launch configs of release 0.1. */
    networks: z.optional(
      z
        .array(
          z.object({
            name: partNameField,
            /** With the prefix length. */
            address: z.cidrv4(),
            gateway: z.optional(ipv4Field),
            nameservers: z.array(ipv4Field).check(z.maxLength(8)),
          }),
        )
        .check(z.maxLength(8)),
    ),
    /** True if the secret `userdata` is mounted. */
    hasUserData: z.boolean(),
    /** The secret `networkdata` is mounted. */
    hasNetworkData: z.optional(z.literal(true)),
  }),
  /** The runner reads the live part (live-part.ts). Absent in launch configs of release 0.1, whose runner does not. */
  liveEdits: z.optional(z.literal(true)),
  /** A display, with VNC on a UNIX socket. */
  vnc: z.optional(z.literal(true)),
  /** The action of the watchdog; absent without one. */
  watchdog: z.optional(z.enum(['reset', 'poweroff', 'shutdown'])),
  /** Seconds between the power button and killing QEMU; less than the service's stop grace period. */
  powerOffTimeoutS: z.int().check(z.minimum(1)),
})
export type LaunchConfig = z.output<typeof launchConfig>

import * as z from 'zod/mini'
import { directModes } from '../direct-modes.ts'
import { containerField, grant, interfaceField, ipv4Field, reasonField, textField } from './common.ts'
import { uidField } from '../names.ts'
import { macField } from '../mac.ts'

/**
 * Agent–broker, over `admin/broker.sock` (frames.ts). Each request has an `id`, and its response has the same one; responses come in any
 * order. The first frame of a connection is the broker's `hello`. The response to `openKvm` carries one descriptor.
 */
export const brokerAdminVersion = 1

/** The maximum number of VMs on a node: a Linux bridge has no more ports. */
export const maxGrants = 1024

export const brokerHello = z.object({
  type: z.literal('hello'),
  protocol: z.literal('swarmvirt.broker-admin'),
  version: z.int(),
  bootId: z.string().check(z.maxLength(64)),
  /** The limits from the broker's command line. */
  limits: z.object({ bridges: z.array(interfaceField), macPrefix: z.string() }),
})
export type BrokerHello = z.output<typeof brokerHello>

const id = z.int().check(z.minimum(0))

/**
 * Asks the LAN which machine has an address: an ARP request on the bridge or device with sender address 0.0.0.0 (RFC 5227), so that the host needs no
 * address there. With `mac`, the broker waits for the answer of this machine, even if another one answers first. A broker of release 0.1
 * accepts the first answer.
 */
const arpRequest = z.object({
  type: z.literal('arp'),
  id,
  bridge: interfaceField,
  ip: ipv4Field,
  mac: z.optional(macField),
  timeoutMs: z.int().check(z.minimum(10), z.maximum(10_000)),
})

export const brokerRequest = z.discriminatedUnion('type', [
  z.object({ type: z.literal('facts'), id }),
  z.object({ type: z.literal('grant'), id, grant }),
  /**
   * Checks whether this grant would be accepted now and its bridges exist; changes nothing. A broker of release 0.1 answers `BadRequest`.
   */
  z.object({ type: z.literal('check'), id, grant }),
  /** Idempotent, also for an unknown uid. An existing lease keeps its devices, and a new one is refused. */
  z.object({ type: z.literal('revoke'), id, uid: uidField }),
  /**
   * `uids` selects these VMs. `after` returns the VMs after this one in order of uid (null: from the first), as many as fit into a frame.
   * Without `after` the answer contains all of them, or is the error `AnswerTooLong`. A broker of an earlier release ignores both and
   * returns all.
   */
  z.object({
    type: z.literal('leases'),
    id,
    uids: z.optional(z.array(uidField).check(z.maxLength(64))),
    after: z.optional(z.nullable(uidField)),
  }),
  z.object({ type: z.literal('sightings'), id, macs: z.array(macField).check(z.maxLength(256)) }),
  z.object({ type: z.literal('openKvm'), id }),
  arpRequest,
  z.object({
    type: z.literal('ping'),
    id,
    bridge: interfaceField,
    ip: ipv4Field,
    timeoutMs: z.int().check(z.minimum(10), z.maximum(10_000)),
  }),
  /** Tells every runner with a lease to power its guest off. Answered when no lease is left, or with `remaining` at the deadline. */
  z.object({ type: z.literal('powerOffAll'), id, timeoutMs: z.int().check(z.minimum(0), z.maximum(3_600_000)) }),
  /** Ends `powerOffAll`, so that VMs may start again. Idempotent. A broker of release 0.1 answers `BadRequest`. */
  z.object({ type: z.literal('powerOnAll'), id }),
])
export type BrokerRequest = z.output<typeof brokerRequest>

const deviceFact = z.object({
  /** The device node exists. */
  present: z.boolean(),
  /** The broker could open it just now. Existence is not enough: a device cgroup denies at open(). */
  opens: z.boolean(),
  message: textField,
})
export type DeviceFact = z.output<typeof deviceFact>

const bridgeFact = z.object({
  name: interfaceField,
  mtu: z.int(),
  /** `absent` if the kernel has no VLAN filtering. Absent in answers of release 0.1. */
  vlanFiltering: z.optional(z.enum(['on', 'off', 'absent'])),
  carrier: z.boolean(),
  up: z.boolean(),
  /** First IPv4 address of the host on the bridge, or null. Without one, the host can only probe layer 2 (ARP). */
  address: z.nullable(ipv4Field),
})
export type BridgeFact = z.output<typeof bridgeFact>

/** `active`: the kernel drops what VMs behind NAT send to the node, to other nodes and to link-local addresses. `message` says why not. */
const userNetworkFact = z.object({ interface: interfaceField, state: z.enum(['active', 'inactive']), message: textField })
export type UserNetworkFact = z.output<typeof userNetworkFact>

/** A device that direct NICs may use. */
const directFact = z.object({
  name: interfaceField,
  mtu: z.int(),
  carrier: z.boolean(),
  up: z.boolean(),
  /** First IPv4 address of the host on the device, or null. */
  address: z.nullable(ipv4Field),
  /** Why it can carry no direct NIC, with what helps; empty if it can. */
  problem: textField,
})
export type DirectFact = z.output<typeof directFact>

export const brokerFacts = z.object({
  devices: z.object({ kvm: deviceFact, tun: deviceFact, vhostNet: deviceFact }),
  /** The bridges that exist *and* are allowed. */
  bridges: z.array(bridgeFact).check(z.maxLength(64)),
  /** The devices that exist *and* are allowed. Absent in answers of release 0.1. */
  direct: z.optional(z.array(directFact).check(z.maxLength(64))),
  /** Settings of NICs that this broker supports beyond release 0.1 (nic-attachment.ts). Absent in answers of release 0.1. */
  nicFeatures: z.optional(z.array(z.string().check(z.maxLength(32))).check(z.maxLength(32))),
  /** The broker filters the network of user NICs. Absent if its command line names none, and from release 0.1. */
  userNetwork: z.optional(userNetworkFact),
})
export type BrokerFacts = z.output<typeof brokerFacts>

/** Whether the kernel drops the packets that the guest must not send. `message` says why not. */
const guestFilterFact = z.object({
  state: z.enum(['active', 'inactive']),
  message: textField,
  /** Networks whose guest may use other MACs, because the manifest says so. Absent if there are none. */
  unlocked: z.optional(z.array(z.string()).check(z.maxLength(8))),
})
export type GuestFilterFact = z.output<typeof guestFilterFact>

export const leaseFact = z.object({
  uid: uidField,
  granted: z.boolean(),
  /** A runner holds the lease on an open connection. */
  held: z.boolean(),
  /** The container that the runner reports. Absent if it reports none, and in answers of release 0.1. */
  container: z.optional(containerField),
  waiting: z.int(),
  waitReason: z.nullable(z.string().check(z.maxLength(64))),
  waitMessage: z.nullable(textField),
  /** Present for a held lease. A broker of release 0.1 has no filter and does not report it. */
  guestFilter: z.optional(guestFilterFact),
  nics: z.array(
    z.object({
      name: z.string(),
      /** The TAP that stands for the holder, for a direct NIC (ADR 0035). */
      tap: interfaceField,
      /** The device, for a direct NIC. */
      bridge: interfaceField,
      /** The macvtap of a direct NIC. Absent for others. */
      direct: z.optional(z.object({ link: interfaceField, mode: z.enum(directModes) })),
      mac: macField,
      carrier: z.boolean(),
      attached: z.boolean(),
      /** Why frames of a running guest may be lost on this node. Absent if there is no known reason, and in answers of release 0.1. */
      problem: z.optional(z.object({ reason: reasonField, message: textField })),
    }),
  ),
})
export type LeaseFact = z.output<typeof leaseFact>

/**
 * One (MAC, address) pair seen on the VM's own TAP. A broker of release 0.1 also reports those seen on a bridge. `ageMs` is the time since
 * it was last seen.
 */
export const sighting = z.object({
  mac: macField,
  ip: ipv4Field,
  /** `dhcp`: an ACK to a REQUEST of the VM. `arp`: sent by the VM itself. */
  via: z.enum(['arp', 'dhcp']),
  interface: interfaceField,
  ageMs: z.int().check(z.minimum(0)),
})
export type Sighting = z.output<typeof sighting>

export const probeOutcome = z.object({
  outcome: z.enum(['reached', 'unreached', 'unknown']),
  reason: reasonField,
  message: textField,
  /** The MAC that answered an ARP request. */
  mac: z.nullable(macField),
  /** Milliseconds; null if nothing answered. */
  rttMs: z.nullable(z.number()),
})
export type ProbeOutcome = z.output<typeof probeOutcome>

export const brokerResponse = z.discriminatedUnion('type', [
  z.object({ type: z.literal('facts'), id, facts: brokerFacts }),
  z.object({ type: z.literal('ok'), id }),
  /** `next` is the `after` of the next request; null or absent if nothing is left. */
  z.object({ type: z.literal('leases'), id, leases: z.array(leaseFact), next: z.optional(z.nullable(uidField)) }),
  z.object({ type: z.literal('sightings'), id, sightings: z.array(sighting) }),
  z.object({ type: z.literal('kvm'), id }),
  z.object({ type: z.literal('probe'), id, probe: probeOutcome }),
  z.object({ type: z.literal('poweredOff'), id, remaining: z.array(uidField) }),
  /** `reason` is for machines (`BridgeNotAllowed`, `MacNotAllowed`, `DeviceMissing`, …). */
  z.object({ type: z.literal('error'), id: z.nullable(id), reason: reasonField, message: textField }),
])
export type BrokerResponse = z.output<typeof brokerResponse>

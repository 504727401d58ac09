import * as z from 'zod/mini'
import { containerField, grant, interfaceField, ipv4Field, macField, reasonField, textField, uidField } from './common.ts'

/**
 * Agent–broker, over `admin/broker.sock` (frames.ts): requests with an `id`, answered in any order by a response with the same `id`.
 * The first frame of a connection is the broker's `hello`. `openKvm` is answered with one descriptor.
 */
export const brokerAdminVersion = 1

/** What a broker remembers at most, and so the VMs that a node takes: a Linux bridge has no more ports. */
export const maxGrants = 1024

export const brokerHello = z.object({
  type: z.literal('hello'),
  protocol: z.literal('swarmvirt.broker-admin'),
  version: z.int(),
  bootId: z.string().check(z.maxLength(64)),
  /** What the broker's command line allows at all. */
  limits: z.object({ bridges: z.array(interfaceField), macPrefix: z.string() }),
})
export type BrokerHello = z.output<typeof brokerHello>

const id = z.int().check(z.minimum(0))

/**
 * Asks the LAN who has an address: an ARP request on the bridge with sender address 0.0.0.0 (RFC 5227), so that the host needs none there.
 * `mac`: this one's answer is waited for, whoever else answers before it; a broker of release 0.1 takes the first answer.
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
  /** Whether this grant would be accepted now, and its bridges are there; nothing changes. A broker of release 0.1 answers `BadRequest`. */
  z.object({ type: z.literal('check'), id, grant }),
  /** Idempotent; an unknown uid is done. A running lease keeps what it has, a new one is refused. */
  z.object({ type: z.literal('revoke'), id, uid: uidField }),
  /**
   * `uids`: of these VMs alone. `after`: in order of uid, those after this one (null: from the first), as many as fit into a frame; without it the
   * answer is everything, or the error `AnswerTooLong`. A broker of an earlier release knows neither and gives everything.
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
  /** Orders every runner with a lease to power its guest off; answered when no lease is left, or with `remaining` at the deadline. */
  z.object({ type: z.literal('powerOffAll'), id, timeoutMs: z.int().check(z.minimum(0), z.maximum(3_600_000)) }),
  /** Ends what `powerOffAll` began: VMs may start again. Idempotent. A broker of release 0.1 answers `BadRequest`. */
  z.object({ type: z.literal('powerOnAll'), id }),
])
export type BrokerRequest = z.output<typeof brokerRequest>

const deviceFact = z.object({
  /** The node is there. */
  present: z.boolean(),
  /** It could be opened just now, which is what counts: a device cgroup denies at open(). */
  opens: z.boolean(),
  message: textField,
})
export type DeviceFact = z.output<typeof deviceFact>

const bridgeFact = z.object({
  name: interfaceField,
  mtu: z.int(),
  carrier: z.boolean(),
  up: z.boolean(),
  /** First IPv4 address of the host on the bridge, or null; without one a host can prove layer 2 (ARP) and nothing above it. */
  address: z.nullable(ipv4Field),
})
export type BridgeFact = z.output<typeof bridgeFact>

export const brokerFacts = z.object({
  devices: z.object({ kvm: deviceFact, tun: deviceFact, vhostNet: deviceFact }),
  /** The bridges that exist *and* are allowed. */
  bridges: z.array(bridgeFact).check(z.maxLength(64)),
})
export type BrokerFacts = z.output<typeof brokerFacts>

/** Whether the kernel drops what the guest may not send. `message` says why not. */
const guestFilterFact = z.object({ state: z.enum(['active', 'inactive']), message: textField })
export type GuestFilterFact = z.output<typeof guestFilterFact>

export const leaseFact = z.object({
  uid: uidField,
  granted: z.boolean(),
  /** A runner holds the lease on a connection that is open now. */
  held: z.boolean(),
  /** The container that the runner reports. Absent if it reports none, and from a broker of release 0.1. */
  container: z.optional(containerField),
  waiting: z.int(),
  waitReason: z.nullable(z.string().check(z.maxLength(64))),
  waitMessage: z.nullable(textField),
  /** Present for a held lease. A broker of release 0.1 has no filter and does not report it. */
  guestFilter: z.optional(guestFilterFact),
  nics: z.array(
    z.object({ name: z.string(), tap: interfaceField, bridge: interfaceField, mac: macField, carrier: z.boolean(), attached: z.boolean() }),
  ),
})
export type LeaseFact = z.output<typeof leaseFact>

/** One (MAC, address) pair heard on the VM's own TAP. A broker of release 0.1 also gives what it heard on a bridge. `ageMs` is how long ago it was last heard. */
export const sighting = z.object({
  mac: macField,
  ip: ipv4Field,
  /** `dhcp`: an ACK that answers a REQUEST of the VM; `arp`: the VM itself said so. */
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
  /** Milliseconds, null where nothing answered. */
  rttMs: z.nullable(z.number()),
})
export type ProbeOutcome = z.output<typeof probeOutcome>

export const brokerResponse = z.discriminatedUnion('type', [
  z.object({ type: z.literal('facts'), id, facts: brokerFacts }),
  z.object({ type: z.literal('ok'), id }),
  /** `next` goes into the next request's `after`; null or absent where nothing is left. */
  z.object({ type: z.literal('leases'), id, leases: z.array(leaseFact), next: z.optional(z.nullable(uidField)) }),
  z.object({ type: z.literal('sightings'), id, sightings: z.array(sighting) }),
  z.object({ type: z.literal('kvm'), id }),
  z.object({ type: z.literal('probe'), id, probe: probeOutcome }),
  z.object({ type: z.literal('poweredOff'), id, remaining: z.array(uidField) }),
  /** `reason` is for machines (`BridgeNotAllowed`, `MacNotAllowed`, `DeviceMissing`, …). */
  z.object({ type: z.literal('error'), id: z.nullable(id), reason: reasonField, message: textField }),
])
export type BrokerResponse = z.output<typeof brokerResponse>

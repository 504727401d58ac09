import * as z from 'zod/mini'
import { brokerFacts, leaseFact, probeOutcome, sighting } from './broker-admin.ts'
import {
  acceleratorChoice,
  acceleratorInUse,
  cleanText,
  firmware,
  interfaceField,
  ipv4Field,
  markField,
  nicGrant,
  partNameField,
  reasonField,
  sha256Field,
  textField,
} from './common.ts'
import { orderedLivePart } from './live-part.ts'
import { uidField, vmNameField } from '../names.ts'
import { guestCommand } from './guest-agent.ts'
import { httpPath } from '../http-path.ts'
import { finishedRun, runPolicy } from './run-policy.ts'
import { macField } from '../mac.ts'
import { runnerStatus } from './runner-control.ts'

/**
 * Controller–agent: HTTPS with ECDHE-PSK (TLS 1.2) on the control overlay, JSON bodies, port 9472. The path carries the major version.
 *
 * | request | answer |
 * |---|---|
 * | `GET /v1/facts` | `nodeFacts` |
 * | `GET /v1/instances` | `inventory` |
 * | `PUT /v1/vms/<uid>` with `prepareOrder` | `prepareStatus`; idempotent |
 * | `POST /v1/vms/<uid>/progress` with `progressRequest` | `orderProgress`; the agent goes on with the order that it accepted |
 * | `DELETE /v1/vms/<uid>/grant` | `{}`; revokes the grant and keeps the disks |
 * | `POST /v1/vms/<uid>/delete-disks` with `deleteDisksOrder` (delete-disks.ts) | `deletionStatus`; idempotent: repeat the request to poll |
 * | `GET /v1/vms/<uid>` | `vmStatus` |
 * | `POST /v1/vms/<uid>/power-off` | `{}` |
 * | `POST /v1/vms/<uid>/pause`, `…/unpause`, `…/reset` | `{}`; 409 with the runner's reason |
 * | `POST /v1/probe` with `probeRequest` | `probeOutcome` |
 * | `POST /v1/unchanged` with `unchangedRequest` (unchanged.ts) | `unchangedAnswer`: which earlier answers are unchanged |
 *
 * Errors are `{reason, message}` with 400 (invalid request), 404 (no such VM here), 503 (the broker or the runner is not responding).
 */
export const agentApiVersion = 1
export const agentPort = 9472
export const maxAgentBodyBytes = 256 * 1024

const networkNames = z.array(partNameField).check(z.minLength(1), z.maxLength(8))

/** Version 2 has `firmware`. An agent of release 0.1 rejects it, so that it does not accept an edit that it cannot check. */
export const prepareOrder = z.object({
  version: z.literal([1, 2]),
  uid: uidField,
  vm: vmNameField,
  cluster: z.string().check(z.maxLength(64)),
  disks: z
    .array(
      z.object({
        name: partNameField,
        sizeBytes: z.int().check(z.minimum(1)),
        /** Absent for a blank disk; an agent of release 0.1 rejects such an order. */
        image: z.optional(z.object({ source: z.string().check(z.maxLength(2048)), sha256: z.nullable(sha256Field) })),
        /** The guest cannot write to the disk, so it cannot grow. Absent for other disks, and in orders of release 0.1. */
        readOnly: z.optional(z.literal(true)),
      }),
    )
    .check(z.minLength(1), z.maxLength(16)),
  /** True once the VM's disks exist. An agent that has none then answers DiskMissing instead of creating empty ones. */
  disksMustExist: z.boolean(),
  /** Edits that may destroy the data on a disk (replace-disks.ts), from the manifest's annotation. Absent if it names none. */
  replaceDisks: z.optional(
    z.array(z.object({ disk: partNameField, token: z.string().check(z.regex(/^[0-9a-f]{16}$/)) })).check(z.maxLength(16)),
  ),
  /**
   * From the launch config of the running VM, and so is `nics`. From the manifest for a VM without a launch config, and in orders of
   * release 0.1.
   */
  accelerator: acceleratorChoice,
  /** The cluster allows TCG. */
  softwareEmulation: z.boolean(),
  nics: z.array(nicGrant).check(z.maxLength(8)),
  /** All networks of a VM with a user NIC, in the order of its manifest. Absent if all have a grant, and from release 0.1. */
  networks: z.optional(networkNames),
  firmware: z.optional(firmware),
  /**
   * An edit that waits for a restart. The agent checks it, and a later order grants it. Absent if there is none, and in orders of release
   * 0.1.
   */
  pending: z.optional(
    z.object({
      accelerator: acceleratorChoice,
      nics: z.array(nicGrant).check(z.maxLength(8)),
      networks: z.optional(networkNames),
      firmware: z.optional(firmware),
    }),
  ),
  /**
   * Public addresses of the cluster's nodes. The agent downloads no image from them. Absent if there are none, or if no image comes from
   * the network.
   */
  clusterAddresses: z.optional(z.array(z.string().check(z.maxLength(64))).check(z.maxLength(4_096))),
  /** Kept for the runner, and absent if there is nothing of it. An agent of release 0.1 ignores it, and so does not answer with `live`. */
  live: z.optional(orderedLivePart),
  /** Absent for `Always` and `Halted`, and from release 0.1. An agent of release 0.1 ignores it, and confirms nothing. */
  run: z.optional(runPolicy),
  /** Names this order in later requests. The controller computes it, because the agent may not know every key. Absent from release 0.1. */
  mark: z.optional(markField),
})
export type PrepareOrder = z.output<typeof prepareOrder>

/** A disk that is larger than it was created. The runner grows the file to `sizeBytes` at the next start. */
const grownDisk = z.object({ name: partNameField, createdBytes: z.int().check(z.minimum(1)), sizeBytes: z.int().check(z.minimum(1)) })
export type GrownDisk = z.output<typeof grownDisk>

/**
 * The answer to `pending` of the order, in every state: accepted, or why it cannot be granted. Both keys are absent if the order has no
 * `pending`, and in answers of release 0.1, which does not check it.
 */
const ofPending = {
  pending: z.optional(z.object({ reason: reasonField, message: textField })),
  pendingAccepted: z.optional(z.literal(true)),
  /** The answer covers `networks` of the pending edit. An agent without this key ignored them. */
  pendingNetworks: z.optional(z.literal(true)),
}

export const prepareStatus = z.discriminatedUnion('state', [
  z.object({
    state: z.literal('ready'),
    accelerator: acceleratorInUse,
    /** Why the accelerator is not KVM; empty if it is, or if the manifest requests TCG. */
    emulationReason: textField,
    /** Absent if there are none, and in answers of release 0.1. */
    grown: z.optional(z.array(grownDisk).check(z.maxLength(16))),
    /** The live part is kept. `message` says what the running guest does not have of it. Absent if the order has none, and from release 0.1. */
    live: z.optional(z.object({ message: textField })),
    /** The policy of the order, once it is kept with the VM. Absent if the order has none, and from release 0.1. */
    run: z.optional(runPolicy),
    /** The guest ended for good, as its runner reports. */
    finished: z.optional(finishedRun),
    ...ofPending,
  }),
  /** In progress; `message` contains the step and its progress. */
  z.object({ state: z.literal('preparing'), reason: reasonField, message: textField, ...ofPending }),
  /** Fails until something changes. */
  z.object({ state: z.literal('failed'), reason: reasonField, message: textField, ...ofPending }),
])
export type PrepareStatus = z.output<typeof prepareStatus>

/** Asks for the progress of an order by its mark. An agent of release 0.1 does not have this request. */
export const progressRequest = z.object({
  version: z.literal(1),
  order: markField,
  /** The agent repeats its last answer and does nothing. */
  dryRun: z.optional(z.literal(true)),
})

/** `none`: the agent's last order is another one, or was revoked, or the agent has restarted since. */
export const orderProgress = z.discriminatedUnion('state', [prepareStatus, z.object({ state: z.literal('none') })])
export type OrderProgress = z.output<typeof orderProgress>

/** A VM whose `disks/` and `run/` use more space than its disks may. */
const overuse = z.object({
  uid: uidField,
  vm: z.nullable(vmNameField),
  usedBytes: z.int(),
  allowedBytes: z.int(),
  /** There are directories in it, or too many files to count. */
  hasUncounted: z.boolean(),
})
export type Overuse = z.output<typeof overuse>

export const nodeFacts = z.object({
  version: z.literal(1),
  release: z.string().check(z.maxLength(64)),
  hostname: z.string().check(z.maxLength(255)),
  /** Null while the broker is unavailable; `brokerMessage` says why. */
  broker: z.nullable(brokerFacts),
  brokerMessage: textField,
  /**
   * The result of the probe, which starts QEMU with the VM's machine type and a payload in long mode. `pending` until the first probe has
   * ended.
   */
  kvm: z.object({ state: z.enum(['works', 'unusable', 'pending']), reason: z.string().check(z.maxLength(64)), message: textField }),
  tcg: z.object({ works: z.boolean(), message: textField }),
  memoryBytes: z.int(),
  cpus: z.int(),
  /** Abilities beyond release 0.1 (node-features.ts). Absent in its answers. */
  features: z.optional(z.array(z.string().check(z.maxLength(32))).check(z.maxLength(32))),
  disk: z.object({ totalBytes: z.int(), freeBytes: z.int() }),
  /** Absent in answers of release 0.1. */
  overuse: z.optional(z.array(overuse).check(z.maxLength(64))),
})
export type NodeFacts = z.output<typeof nodeFacts>

/** Reason of a failed order: the node has the same VM under another uid. */
export const otherInstanceReason = 'OtherInstance'

const instanceRecord = z.object({
  uid: uidField,
  /** Null if identity.json is missing or unreadable. The directory still contains a disk of some VM. */
  vm: z.nullable(vmNameField),
  cluster: z.nullable(cleanText(2048)),
  disks: z.array(
    z.object({
      name: z.string(),
      sizeBytes: z.int(),
      allocatedBytes: z.int(),
      /**
       * The image that the disk was created from. Absent for a blank disk, for a file that was not created for this VM, and in answers of
       * release 0.1.
       */
      image: z.optional(z.object({ source: cleanText(2048), sha256: sha256Field })),
      /** The disk was created without an image. */
      blank: z.optional(z.literal(true)),
      /** The VM's manifest no longer names the disk. */
      removed: z.optional(z.literal(true)),
    }),
  ),
  granted: z.boolean(),
  /** The preparation was interrupted, so no guest has started from these disks. Release 0.1 has `vm: null` instead. */
  unfinished: z.optional(z.literal(true)),
})
export const inventory = z.object({ version: z.literal(1), instances: z.array(instanceRecord) })
export type InstanceRecord = z.output<typeof instanceRecord>

export const vmStatus = z.object({
  version: z.literal(1),
  uid: uidField,
  lease: z.nullable(leaseFact),
  sightings: z.array(sighting),
  runner: z.nullable(runnerStatus),
  /** Why there is no runner status; empty if there is one. */
  runnerMessage: textField,
  brokerMessage: textField,
})
export type VmStatus = z.output<typeof vmStatus>

const portNumber = z.int().check(z.minimum(1), z.maximum(65_535))
const probeTimeout = z.int().check(z.minimum(10), z.maximum(10_000))

/** Asks a machine on a bridge of the node. */
const lanProbe = z.object({
  version: z.literal(1),
  /** An agent of release 0.1 rejects `http` and `ssh` with 400. */
  kind: z.enum(['arp', 'ping', 'tcp', 'http', 'ssh']),
  bridge: interfaceField,
  ip: ipv4Field,
  /** For `arp`: the machine that must answer (broker-admin.ts). An agent of release 0.1 accepts the first answer. */
  mac: z.optional(macField),
  port: z.optional(portNumber),
  /** For `http`; default `/`. It goes into the request line. */
  path: z.optional(z.string().check(z.maxLength(1_024), z.regex(httpPath))),
  timeoutMs: probeTimeout,
})
export type LanProbe = z.output<typeof lanProbe>

/** Asks a port that another node publishes for a VM behind NAT. An agent of release 0.1 answers 400 to this and the next kind. */
const nodePortProbe = z.object({
  version: z.literal(1),
  kind: z.literal('nodePort'),
  ip: ipv4Field,
  port: portNumber,
  timeoutMs: probeTimeout,
})
export type NodePortProbe = z.output<typeof nodePortProbe>

/** Asks the runner of a VM on this node whether the guest accepts connections to a forwarded port. */
const guestPortProbe = z.object({
  version: z.literal(1),
  kind: z.literal('guestPort'),
  uid: uidField,
  port: portNumber,
  timeoutMs: probeTimeout,
})
export type GuestPortProbe = z.output<typeof guestPortProbe>

/** Asks the agent in the guest of a VM on this node, or has it run a program. An agent of release 0.1 answers 400. */
const guestAgentProbe = z.object({
  version: z.literal(1),
  kind: z.enum(['guestAgent', 'exec']),
  uid: uidField,
  /** For `exec`. */
  command: z.optional(guestCommand),
  timeoutMs: probeTimeout,
})
export type GuestAgentProbe = z.output<typeof guestAgentProbe>

export const probeRequest = z.union([lanProbe, nodePortProbe, guestPortProbe, guestAgentProbe])
export type ProbeRequest = z.output<typeof probeRequest>

export { probeOutcome }
export type { ProbeOutcome } from './broker-admin.ts'

export const agentError = z.object({ reason: reasonField, message: textField })

import * as z from 'zod/mini'
import { brokerFacts, leaseFact, probeOutcome, sighting } from './broker-admin.ts'
import {
  acceleratorChoice,
  acceleratorInUse,
  cleanText,
  interfaceField,
  ipv4Field,
  macField,
  nicGrant,
  partNameField,
  reasonField,
  sha256Field,
  textField,
  uidField,
  vmNameField,
} from './common.ts'
import { runnerStatus } from './runner-control.ts'

/**
 * Controller–agent: HTTPS with ECDHE-PSK (TLS 1.2) on the control overlay, JSON bodies, port 9472. The path carries the major version.
 *
 * | request | answer |
 * |---|---|
 * | `GET /v1/facts` | `nodeFacts` |
 * | `GET /v1/instances` | `inventory` |
 * | `PUT /v1/vms/<uid>` with `prepareOrder` | `prepareStatus`; idempotent, poll it by sending it again |
 * | `DELETE /v1/vms/<uid>/grant` | `{}`; the grant is revoked, disks stay |
 * | `POST /v1/vms/<uid>/delete-disks` with `deleteDisksOrder` (delete-disks.ts) | `deletionStatus`; idempotent, poll it by sending it again |
 * | `GET /v1/vms/<uid>` | `vmStatus` |
 * | `POST /v1/vms/<uid>/power-off` | `{}` |
 * | `POST /v1/probe` with `probeRequest` | `probeOutcome` |
 * | `POST /v1/unchanged` with `unchangedRequest` (unchanged.ts) | `unchangedAnswer`: which of many known answers still hold |
 *
 * Errors are `{reason, message}` with 400 (the request is wrong), 404 (no such VM here), 503 (the broker or the runner is away).
 */
export const agentApiVersion = 1
export const agentPort = 9472
export const maxAgentBodyBytes = 256 * 1024

export const prepareOrder = z.object({
  version: z.literal(1),
  uid: uidField,
  vm: vmNameField,
  cluster: z.string().check(z.maxLength(64)),
  disks: z
    .array(
      z.object({
        name: partNameField,
        sizeBytes: z.int().check(z.minimum(1)),
        image: z.object({ source: z.string().check(z.maxLength(2048)), sha256: z.nullable(sha256Field) }),
      }),
    )
    .check(z.minLength(1), z.maxLength(16)),
  /** True once the disks were made: an agent that has none then answers DiskMissing and makes no empty one in its place. */
  disksMustExist: z.boolean(),
  /** Edits that may destroy what is on a disk (replace-disks.ts), as the manifest's annotation names them. Absent where it names none. */
  replaceDisks: z.optional(
    z.array(z.object({ disk: partNameField, token: z.string().check(z.regex(/^[0-9a-f]{16}$/)) })).check(z.maxLength(16)),
  ),
  /** Of the launch config that the VM is started with (`nics` too); for a VM that has none yet, and from release 0.1, as the manifest has it. */
  accelerator: acceleratorChoice,
  /** The cluster allows TCG. */
  softwareEmulation: z.boolean(),
  nics: z.array(nicGrant).check(z.maxLength(8)),
  /** An edit that waits for a restart: it is checked, and granted by a later order. Absent where none waits; release 0.1 does not know it. */
  pending: z.optional(z.object({ accelerator: acceleratorChoice, nics: z.array(nicGrant).check(z.maxLength(8)) })),
  /** Public addresses of the cluster's nodes, from which no image is downloaded. Absent where there are none, or no image comes from the network. */
  clusterAddresses: z.optional(z.array(z.string().check(z.maxLength(64))).check(z.maxLength(4_096))),
})
export type PrepareOrder = z.output<typeof prepareOrder>

/**
 * Of `pending` of the order, in every state: accepted, or why it could not be granted. Neither where there is none, and from an agent of release 0.1,
 * which does not check it.
 */
const ofPending = {
  pending: z.optional(z.object({ reason: reasonField, message: textField })),
  pendingAccepted: z.optional(z.literal(true)),
}

export const prepareStatus = z.discriminatedUnion('state', [
  z.object({
    state: z.literal('ready'),
    accelerator: acceleratorInUse,
    /** Why it is not KVM; empty where it is, or where the manifest asks for TCG. */
    emulationReason: textField,
    ...ofPending,
  }),
  /** Under way; `message` says which step and how far. */
  z.object({ state: z.literal('preparing'), reason: reasonField, message: textField, ...ofPending }),
  /** It will not become ready before something changes. */
  z.object({ state: z.literal('failed'), reason: reasonField, message: textField, ...ofPending }),
])
export type PrepareStatus = z.output<typeof prepareStatus>

/** A VM whose `disks/` and `run/` take more than its disks may. */
const overuse = z.object({
  uid: uidField,
  vm: z.nullable(vmNameField),
  usedBytes: z.int(),
  allowedBytes: z.int(),
  /** There are directories, or more files than are counted. */
  hasUncounted: z.boolean(),
})
export type Overuse = z.output<typeof overuse>

export const nodeFacts = z.object({
  version: z.literal(1),
  release: z.string().check(z.maxLength(64)),
  hostname: z.string().check(z.maxLength(255)),
  /** Null while the broker is away; `brokerMessage` says why. */
  broker: z.nullable(brokerFacts),
  brokerMessage: textField,
  /** What the probe saw: QEMU with the VM's machine type and a payload in long mode. `pending` until the first probe has ended. */
  kvm: z.object({ state: z.enum(['works', 'unusable', 'pending']), reason: z.string().check(z.maxLength(64)), message: textField }),
  tcg: z.object({ works: z.boolean(), message: textField }),
  memoryBytes: z.int(),
  cpus: z.int(),
  disk: z.object({ totalBytes: z.int(), freeBytes: z.int() }),
  /** Absent from an agent of release 0.1. */
  overuse: z.optional(z.array(overuse).check(z.maxLength(64))),
})
export type NodeFacts = z.output<typeof nodeFacts>

const instanceRecord = z.object({
  uid: uidField,
  /** Null where identity.json is missing or unreadable: the directory still holds somebody's disk. */
  vm: z.nullable(vmNameField),
  cluster: z.nullable(cleanText(2048)),
  disks: z.array(
    z.object({
      name: z.string(),
      sizeBytes: z.int(),
      allocatedBytes: z.int(),
      /** What it was made from. Absent for a file that was not made for this VM, and from release 0.1. */
      image: z.optional(z.object({ source: cleanText(2048), sha256: sha256Field })),
    }),
  ),
  granted: z.boolean(),
})
export const inventory = z.object({ version: z.literal(1), instances: z.array(instanceRecord) })
export type InstanceRecord = z.output<typeof instanceRecord>

export const vmStatus = z.object({
  version: z.literal(1),
  uid: uidField,
  lease: z.nullable(leaseFact),
  sightings: z.array(sighting),
  runner: z.nullable(runnerStatus),
  /** Why there is no runner status; empty where there is. */
  runnerMessage: textField,
  brokerMessage: textField,
})
export type VmStatus = z.output<typeof vmStatus>

export const probeRequest = z.object({
  version: z.literal(1),
  kind: z.enum(['arp', 'ping', 'tcp']),
  bridge: interfaceField,
  ip: ipv4Field,
  /** Of `arp`: who is to answer (broker-admin.ts). An agent of release 0.1 takes the first answer. */
  mac: z.optional(macField),
  port: z.optional(z.int().check(z.minimum(1), z.maximum(65_535))),
  timeoutMs: z.int().check(z.minimum(10), z.maximum(10_000)),
})
export type ProbeRequest = z.output<typeof probeRequest>

export { probeOutcome }
export type { ProbeOutcome } from './broker-admin.ts'

export const agentError = z.object({ reason: reasonField, message: textField })

import * as z from 'zod/mini'
import { acceleratorInUse, containerField, interfaceField, nicSettings, partNameField, reasonField, textField } from './common.ts'
import { uidField } from '../names.ts'
import { macField } from '../mac.ts'

/**
 * Broker–runner, over `sockets/<uid>/broker.sock` (frames.ts). The connection *is* the lease: it lives as long as the runner.
 *
 * runner → `hello`, then `acquire`; broker → `welcome`, any number of `waiting`, then `granted` with descriptors.
 * The descriptors of `granted` come in this order: KVM if `kvm` is true, then for each entry of `nics` its TAP or macvtap, and its token if it
 * has one.
 * `reclaim` (after a broker restart) carries the runner's own TAP descriptors (tokens for NICs with a token), one per entry of `taps`, as the
 * proof that it is the true holder; the broker answers `granted` with no descriptor and `reclaimed: true`. A VM without TAPs sends none; its
 * locked disk is the proof.
 */
export const brokerRunnerVersion = 1

export const runnerToBroker = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('hello'),
    protocol: z.literal('swarmvirt.broker-runner'),
    version: z.int().check(z.minimum(1)),
    /** The uid in the launch config. It must match the socket's directory, which is the only proof of identity. */
    uid: uidField,
    /** The runner's container. It decides nothing and is shown in the lease fact. Absent from runners of release 0.1. */
    container: z.optional(containerField),
  }),
  /** `tokens`: the runner keeps tokens and passes them to QEMU. Absent from release 0.1. */
  z.object({ type: z.literal('acquire'), tokens: z.optional(z.literal(true)) }),
  z.object({ type: z.literal('reclaim'), taps: z.array(interfaceField).check(z.maxLength(8)) }),
])
export type RunnerToBroker = z.output<typeof runnerToBroker>

/** Why a runner must wait. It stays connected and sends nothing more; the broker answers once it is the runner's turn. */
const waitReason = z.enum([
  'WaitingForPrevious',
  'ImageLocked',
  'NoGrant',
  'BridgeMissing',
  'BridgeMtuTooSmall',
  'VlanUnavailable',
  'DeviceMissing',
  // Sent only for a VM with a direct NIC, whose runner knows it.
  'DeviceBusy',
  'DeviceMtuTooSmall',
  'TapBusy',
  // Sent only for a VM with a user NIC, whose runner knows it.
  'UserNetworkUnfiltered',
])
export type WaitReason = z.output<typeof waitReason>

export const grantedNic = z.object({
  name: partNameField,
  tap: interfaceField,
  bridge: interfaceField,
  mac: macField,
  mtu: z.int(),
  /** `tap` is a TAP that belongs to no network and stands for the holder; its descriptor follows that of the macvtap on `bridge`. */
  token: z.optional(z.literal(true)),
  /** A runner whose launch config has other settings waits for the next grant. Absent from release 0.1, which has none. */
  settings: z.optional(nicSettings),
})

export const brokerToRunner = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('welcome'),
    version: z.int(),
    /** Changes with each start of the broker. */
    bootId: z.string().check(z.maxLength(64)),
  }),
  z.object({ type: z.literal('waiting'), reason: waitReason, message: textField }),
  z.object({
    type: z.literal('granted'),
    accelerator: acceleratorInUse,
    kvm: z.boolean(),
    nics: z.array(grantedNic).check(z.maxLength(8)),
    reclaimed: z.boolean(),
  }),
  /**
   * The host shuts down, or the node is evacuated. The runner powers the guest off within its grace period, closes this connection, and
   * stays off until the task is stopped, because Swarm would restart a task that ends.
   */
  z.object({ type: z.literal('powerOff'), message: textField }),
  z.object({ type: z.literal('refused'), reason: reasonField, message: textField }),
])
export type BrokerToRunner = z.output<typeof brokerToRunner>

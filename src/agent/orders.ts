import { featuresNeeded } from '../api/nic-attachment.ts'
import type { VmUid } from '../api/names.ts'
import type { DeleteDisksOrder, DeletionStatus } from '../api/wire/delete-disks.ts'
import type { GrownDisk, PrepareOrder, PrepareStatus } from '../api/wire/agent-api.ts'
import { noUserNetwork } from '../api/user-network.ts'
import type { Grant } from '../api/wire/common.ts'
import { PortError } from '../ports/errors.ts'
import { BrokerRefusal, type BrokerLink } from './broker-link.ts'
import type { FirmwareFiles } from './firmware.ts'
import { type AccelerationFacts, chooseAccelerator } from './grant-choice.ts'
import type { Grants } from './grants.ts'
import { keyedLock } from './keyed-lock.ts'
import type { KvmProber } from './kvm-prober.ts'
import type { LiveEdits } from './live-edits.ts'

const brokerTimeoutMs = 3_000

export interface OrdersOptions {
  readonly prepareDisks: (order: PrepareOrder) => Promise<Exclude<PrepareStatus, { state: 'ready' }> | undefined>
  readonly deleteDisks: (order: DeleteDisksOrder) => Promise<DeletionStatus>
  readonly grownDisks: (uid: VmUid) => Promise<readonly GrownDisk[]>
  readonly firmware: FirmwareFiles
  /** Throws StateError. */
  readonly keepLivePart: (order: PrepareOrder) => Promise<Exclude<PrepareStatus, { state: 'ready' }> | undefined>
  readonly liveEdits: LiveEdits
  /** Throws StateError. */
  readonly keepNicSlots: (order: PrepareOrder) => Promise<void>
  /** Throws StateError. */
  readonly keepRunPolicy: (order: PrepareOrder) => Promise<Pick<Extract<PrepareStatus, { state: 'ready' }>, 'run' | 'finished'>>
  readonly grants: Grants
  readonly broker: BrokerLink
  readonly prober: KvmProber
}

export interface Orders {
  /** Throws StateError. */
  prepare(order: PrepareOrder): Promise<PrepareStatus>
  /** Goes on with the last order if it has this mark. Undefined if there is no such order, the mark differs, or the grant was revoked. */
  repeat(uid: VmUid, mark: string): Promise<PrepareStatus | undefined>
  /** The last answer to the last order, if it has this mark and was answered. */
  lastAnswer(uid: VmUid, mark: string): PrepareStatus | undefined
  /** Throws StateError and PortError. */
  revoke(uid: VmUid): Promise<void>
  /** Throws StateError and PortError. */
  deleteDisks(order: DeleteDisksOrder): Promise<DeletionStatus>
}

/** Carries out the controller's orders, one at a time per VM: first its disks, then its grant. */
export function orders(options: OrdersOptions): Orders {
  const oneAtATime = keyedLock()
  // The last order of each VM since the agent's start.
  const last = new Map<VmUid, { readonly order: PrepareOrder; answer?: PrepareStatus }>()

  function lastWith(uid: VmUid, mark: string) {
    const one = last.get(uid)
    return one?.order.mark === mark ? one : undefined
  }

  async function goOn(uid: VmUid, order: PrepareOrder): Promise<PrepareStatus> {
    const answer = await carryOut(options, order)
    last.set(uid, { order, answer })
    return answer
  }

  return {
    prepare: (order) =>
      oneAtATime(order.uid, () => {
        last.set(order.uid, { order })
        return goOn(order.uid, order)
      }),
    repeat: (uid, mark) =>
      oneAtATime(uid, async () => {
        const order = lastWith(uid, mark)?.order
        return order && goOn(uid, order)
      }),
    lastAnswer: (uid, mark) => lastWith(uid, mark)?.answer,
    revoke: (uid) =>
      oneAtATime(uid, () => {
        last.delete(uid)
        return options.grants.revoke(uid)
      }),
    // The revoked grant keeps runners from starting while the disks are deleted.
    deleteDisks: (order) =>
      oneAtATime(order.uid, async () => {
        last.delete(order.uid)
        await options.grants.revoke(order.uid)
        return options.deleteDisks(order)
      }),
  }
}

async function carryOut(options: OrdersOptions, order: PrepareOrder): Promise<PrepareStatus> {
  const status = await makeReady(options, order)
  if (order.pending === undefined) return status
  // Also checked if the running configuration can no longer be granted: the edit may fix that.
  const refusal = (await whyNotPending(options, order, order.pending)) ?? (await whyNoFirmware(options, order))
  const answer = refusal === undefined ? { pendingAccepted: true as const } : { pending: refusal }
  return { ...status, ...answer, ...(order.pending.networks === undefined ? {} : { pendingNetworks: true }) }
}

async function makeReady(options: OrdersOptions, order: PrepareOrder): Promise<PrepareStatus> {
  const existing = await options.grants.readClear(order.uid)
  const unready = (await options.prepareDisks(order)) ?? (await options.keepLivePart(order)) ?? (await options.firmware.prepare(order))
  if (unready === undefined) return grantTo(options, order, existing)
  // If the edit of the disks fails or takes long, a VM that has its disks still gets its existing grant.
  if (existing !== undefined) await grantTo(options, order, existing)
  return unready
}

async function grantTo(options: OrdersOptions, order: PrepareOrder, existing: Grant | undefined): Promise<PrepareStatus> {
  const { grants, broker, prober } = options
  const choice = chooseAccelerator(order, {
    kvm: prober.kvm(),
    tcg: prober.tcg(),
    existing: existing?.accelerator,
    lease: await leaseOf(broker, order.uid),
  })
  if (choice.kind !== 'granted') return { state: choice.kind, reason: choice.reason, message: choice.message.slice(0, 2000) }
  const { accelerator, emulationReason } = choice
  const missing = order.networks === undefined ? undefined : await whyNoUserNetwork(broker)
  if (missing !== undefined) return { state: missing.reason === 'BrokerUnavailable' ? 'preparing' : 'failed', ...missing }
  await options.keepNicSlots(order)
  const kept = await options.keepRunPolicy(order)
  const outcome = await grants.put(grantOf(order, accelerator, existing))
  switch (outcome.kind) {
    case 'granted': {
      const grown = await options.grownDisks(order.uid)
      const message = await options.liveEdits.apply(order.uid)
      const live = order.live === undefined && message === '' ? {} : { live: { message } }
      const ready = { state: 'ready', accelerator, emulationReason: emulationReason.slice(0, 2000), ...live, ...kept } as const
      return grown.length === 0 ? ready : { ...ready, grown: [...grown] }
    }
    case 'waiting':
      return {
        state: 'preparing',
        reason: 'BrokerUnavailable',
        message: `disks are ready; the grant is waiting for the broker: ${outcome.message}`.slice(0, 2000),
      }
    case 'refused': {
      const outdated = outcome.reason === 'BadRequest' ? whyOutdated(order.nics) : undefined
      const { reason, message } = outdated ?? { ...outcome, message: `the broker of this node rejected the grant: ${outcome.message}` }
      return { state: 'failed', reason, message: message.slice(0, 2000) }
    }
  }
}

/** A broker of an earlier release rejects NICs with settings that it does not know. Undefined if these have none. */
function whyOutdated(nics: PrepareOrder['nics']): { readonly reason: string; readonly message: string } | undefined {
  const needed = [...featuresNeeded(nics)]
  if (needed.length === 0) return undefined
  const message = `the broker of this node is of an earlier release, which does not support ${needed.join(', ')}; run install-node.sh with the current image on this node`
  return { reason: 'BrokerOutdated', message }
}

const mostNics = 8

/** A runner with the old networks may still be alive. Their names stay in the grant, so that it can prove its lease. */
function grantOf({ uid, vm, nics, networks }: PrepareOrder, accelerator: Grant['accelerator'], existing: Grant | undefined): Grant {
  const before = [...(existing?.nics ?? []), ...(existing?.formerNics ?? [])]
  const formerNics = before.filter(({ name }) => nics.every((nic) => nic.name !== name)).slice(0, mostNics)
  return { version: 1, uid, vm, accelerator, nics, ...behindNat(networks), ...(formerNics.length === 0 ? {} : { formerNics }) }
}

/** Asks the broker whether it would accept the grant, without changes. Undefined if it would, or if the broker is too old to answer. */
async function whyNotPending(
  { broker, prober }: OrdersOptions,
  { uid, vm, softwareEmulation }: PrepareOrder,
  pending: NonNullable<PrepareOrder['pending']>,
): Promise<PrepareStatus['pending']> {
  const facts = { kvm: prober.kvm(), tcg: prober.tcg(), existing: undefined, lease: 'free' } as const
  const choice = chooseAccelerator({ accelerator: pending.accelerator, softwareEmulation }, facts)
  if (choice.kind !== 'granted') return { reason: choice.reason, message: choice.message.slice(0, 2000) }
  const missing = pending.networks === undefined ? undefined : await whyNoUserNetwork(broker)
  if (missing !== undefined) return missing
  const grant: Grant = { version: 1, uid, vm, accelerator: choice.accelerator, nics: pending.nics, ...behindNat(pending.networks) }
  try {
    await broker.ask({ type: 'check', grant }, 'ok', brokerTimeoutMs)
    return undefined
  } catch (error) {
    if (error instanceof BrokerRefusal)
      return error.reason === 'BadRequest' ? whyOutdated(pending.nics) : { reason: error.reason, message: error.message.slice(0, 2000) }
    if (error instanceof PortError) return { reason: 'BrokerUnavailable', message: error.message.slice(0, 2000) }
    throw error
  }
}

function behindNat(networks: readonly string[] | undefined): Pick<Grant, 'userNetwork'> {
  return networks === undefined ? {} : { userNetwork: true }
}

/** An older broker would ignore that the grant needs it. */
async function whyNoUserNetwork(broker: BrokerLink): Promise<PrepareStatus['pending']> {
  try {
    const { facts } = await broker.ask({ type: 'facts' }, 'facts', brokerTimeoutMs)
    return facts.userNetwork === undefined ? { reason: 'UserNetworkMissing', message: noUserNetwork } : undefined
  } catch (error) {
    if (error instanceof PortError || error instanceof BrokerRefusal)
      return { reason: 'BrokerUnavailable', message: error.message.slice(0, 2000) }
    throw error
  }
}

async function whyNoFirmware({ firmware }: OrdersOptions, order: PrepareOrder): Promise<PrepareStatus['pending']> {
  const unready = await firmware.preparePending(order)
  return unready && { reason: unready.reason, message: unready.message }
}

async function leaseOf(broker: BrokerLink, uid: VmUid): Promise<AccelerationFacts['lease']> {
  try {
    const { leases } = await broker.ask({ type: 'leases', uids: [uid] }, 'leases', brokerTimeoutMs)
    return leases.some((lease) => lease.uid === uid && lease.held) ? 'held' : 'free'
  } catch (error) {
    if (error instanceof PortError || error instanceof BrokerRefusal) return 'unknown'
    throw error
  }
}

import { tapName, type VmUid } from '../api/names.ts'
import type { WaitReason } from '../api/wire/broker-runner.ts'
import type { Grant, NicGrant } from '../api/wire/common.ts'

/**
 * The lease of one VM (ADR 0007) as plain values: the holder, the waiters and the next step. Pure; no I/O.
 *
 * *Guarantees*: at most one connection holds the lease. A waiter gets it only when nobody holds it. The waiter must either prove that it is the
 * previous holder (its TAPs), or no disk may be locked and no TAP attached.
 * *Caveats*: the host view for `decide` must be newer than the last change of the state.
 */

/** A connection ID. IDs are never reused. */
export type ConnectionId = number

export interface Waiter {
  readonly connection: ConnectionId
  /** The TAPs that it has proven to have. Empty for `acquire`, and for a VM without TAPs. */
  readonly proof: readonly string[]
  /** It says that it is the previous holder. */
  readonly reclaims: boolean
}

interface Holder {
  readonly connection: ConnectionId
  /** `provisional`: it sent its proof before the grant was renewed, and has no answer yet. */
  readonly kind: 'provisional' | 'confirmed'
  readonly proof: readonly string[]
}

export interface Lease {
  readonly uid: VmUid
  readonly grant: Grant | undefined
  readonly holder: Holder | undefined
  /** In order of arrival. */
  readonly waiting: readonly Waiter[]
}

/** The current state of the host. Each field is the reason why the VM cannot start, or undefined. */
export interface HostView {
  readonly poweringOff: string | undefined
  readonly imageLocked: string | undefined
  readonly tapAttached: string | undefined
  readonly bridge:
    | {
        readonly reason: 'BridgeMissing' | 'BridgeMtuTooSmall' | 'VlanUnavailable' | 'DeviceBusy' | 'DeviceMtuTooSmall'
        readonly message: string
      }
    | undefined
  readonly deviceMissing: string | undefined
  /** The user network of the VM has no filter. */
  readonly unfiltered: string | undefined
}

export type Decision =
  | { readonly kind: 'idle' }
  /** Sent to all waiters and to a provisional holder. */
  | { readonly kind: 'wait'; readonly reason: WaitReason; readonly message: string }
  /** The first waiter becomes the holder. */
  | { readonly kind: 'grant'; readonly connection: ConnectionId; readonly grant: Grant }
  /** The connection already holds the lease, with these TAPs. */
  | { readonly kind: 'confirm'; readonly connection: ConnectionId; readonly grant: Grant; readonly proof: readonly string[] }
  /** Its proof contains TAPs of no network of this VM. */
  | { readonly kind: 'refuse'; readonly connection: ConnectionId; readonly message: string }

export function freshLease(uid: VmUid): Lease {
  return { uid, grant: undefined, holder: undefined, waiting: [] }
}

export function withGrant(lease: Lease, grant: Grant | undefined): Lease {
  return { ...lease, grant }
}

/** A second request of a connection that waits or holds changes nothing. */
export function join(lease: Lease, waiter: Waiter): Lease {
  if (lease.holder?.connection === waiter.connection || lease.waiting.some((each) => each.connection === waiter.connection)) return lease
  return { ...lease, waiting: [...lease.waiting, waiter] }
}

export function leave(lease: Lease, connection: ConnectionId): Lease {
  return {
    ...lease,
    holder: lease.holder?.connection === connection ? undefined : lease.holder,
    waiting: lease.waiting.filter((each) => each.connection !== connection),
  }
}

/** Moves the previous holder to the front, in any order of arrival. Must run before every decision. */
export function seatProven(lease: Lease): Lease {
  const proven = lease.waiting.find((each) => each.reclaims)
  if (lease.holder !== undefined || proven === undefined) return lease
  return {
    ...lease,
    holder: { connection: proven.connection, kind: 'provisional', proof: proven.proof },
    waiting: lease.waiting.filter((each) => each !== proven),
  }
}

/** Call this after `grant` or `confirm` was carried out. Throws if the lease has a holder already. */
export function hold(lease: Lease, connection: ConnectionId, proof: readonly string[] = []): Lease {
  if (lease.holder !== undefined && lease.holder.connection !== connection)
    throw new Error(`the lease of ${lease.uid} already has a holder`)
  return { ...leave(lease, connection), holder: { connection, kind: 'confirmed', proof } }
}

/** Whether the state of the host can change the decision. Otherwise only the next change of the lease can. */
export function needsHost(lease: Lease): boolean {
  const { holder, waiting, grant } = seatProven(lease)
  if (grant === undefined) return false
  return holder === undefined ? waiting.length > 0 : holder.kind === 'provisional' && holder.proof.length === 0
}

/** `lease` must come from `seatProven`. */
export function decide(lease: Lease, host: HostView): Decision {
  const { holder, grant } = lease
  if (holder?.kind === 'provisional') return decideProvisional(holder, lease.uid, grant, host)
  const next = lease.waiting[0]
  if (next === undefined) return { kind: 'idle' }
  if (holder !== undefined)
    return {
      kind: 'wait',
      reason: 'WaitingForPrevious',
      message: 'another runner of this VM on this node holds the lease; the lease is released when that runner ends',
    }
  if (grant === undefined) return noGrant
  if (host.poweringOff !== undefined) return { kind: 'wait', reason: 'WaitingForPrevious', message: host.poweringOff }
  if (host.imageLocked !== undefined)
    return { kind: 'wait', reason: 'ImageLocked', message: `${host.imageLocked}; waiting until it is closed, to prevent two writers` }
  if (host.tapAttached !== undefined) return { kind: 'wait', reason: 'TapBusy', message: host.tapAttached }
  if (host.bridge !== undefined) return { kind: 'wait', ...host.bridge }
  if (host.deviceMissing !== undefined) return { kind: 'wait', reason: 'DeviceMissing', message: host.deviceMissing }
  if (host.unfiltered !== undefined) return { kind: 'wait', reason: 'UserNetworkUnfiltered', message: host.unfiltered }
  return { kind: 'grant', connection: next.connection, grant }
}

const noGrant: Decision = {
  kind: 'wait',
  reason: 'NoGrant',
  message: 'the broker has no grant for this VM from the agent of this node; check that the agent is running',
}

function decideProvisional(holder: Holder, uid: VmUid, grant: Grant | undefined, host: HostView): Decision {
  if (grant === undefined) return noGrant
  if (holder.proof.length === 0) return decideWithoutTap(holder, grant, host)
  // Other networks may have been added or removed since. The holder of the remaining NICs stays the holder.
  const expected = expectedTaps(uid, grant)
  if (holder.proof.some((name) => expected.includes(name)))
    return { kind: 'confirm', connection: holder.connection, grant, proof: holder.proof }
  return {
    kind: 'refuse',
    connection: holder.connection,
    message: `the TAPs ${holder.proof.join(', ')} do not belong to this VM (${expected.join(', ')})`,
  }
}

/**
 * All NICs of the VM are behind NAT now, so its QEMU has no TAP, but it has a disk locked. A runner of the same VM that lies about it only keeps
 * its own VM waiting: it gets no descriptor.
 */
function decideWithoutTap({ connection }: Holder, grant: Grant, { imageLocked }: HostView): Decision {
  if (grant.nics.length > 0) return { kind: 'refuse', connection, message: 'the runner has no TAP of this VM' }
  if (imageLocked === undefined) return { kind: 'refuse', connection, message: 'no QEMU of this VM has a disk locked' }
  return { kind: 'confirm', connection, grant, proof: [] }
}

/** A runner that started before a network was renamed has a TAP with the old name. */
export function expectedTaps(uid: VmUid, grant: Grant): string[] {
  return nicsEver(grant).map((nic) => tapName(uid, nic.name))
}

export function nicsEver({ nics, formerNics = [] }: Grant): readonly NicGrant[] {
  return [...nics, ...formerNics]
}

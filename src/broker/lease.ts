import { tapName, type VmUid } from '../api/names.ts'
import type { WaitReason } from '../api/wire/broker-runner.ts'
import type { Grant, NicGrant } from '../api/wire/common.ts'

/**
 * The lease of one VM (ADR 0007), as values: who holds it, who waits, and what is to happen next. Nothing here reads or writes anything.
 *
 * *Guarantees*: at most one connection holds. A waiter comes to hold only when nobody does, and then either because it proved to be the holder
 * of before (its TAPs), or because no disk is locked and no TAP attached.
 * *Caveats*: what `decide` is told of the world must have been looked at after the last change of the state.
 */

/** A connection, by a number that is never used again. */
export type ConnectionId = number

export interface Waiter {
  readonly connection: ConnectionId
  /** The TAPs that it proved to have; empty for one that acquires. */
  readonly proof: readonly string[]
}

interface Holder {
  readonly connection: ConnectionId
  /** `provisional`: it proved itself before the grant was renewed and has no answer yet. */
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

/** What was seen of the host just now; each is why not, in words, or undefined. */
export interface HostView {
  readonly poweringOff: string | undefined
  readonly imageLocked: string | undefined
  readonly tapAttached: string | undefined
  readonly bridgeMissing: string | undefined
  readonly deviceMissing: string | undefined
}

export type Decision =
  | { readonly kind: 'idle' }
  /** Everybody who waits, and a provisional holder, is told so. */
  | { readonly kind: 'wait'; readonly reason: WaitReason; readonly message: string }
  /** The first waiter comes to hold. */
  | { readonly kind: 'grant'; readonly connection: ConnectionId; readonly grant: Grant }
  /** It held already, with these TAPs. */
  | { readonly kind: 'confirm'; readonly connection: ConnectionId; readonly grant: Grant; readonly proof: readonly string[] }
  /** Its proof is no TAP of this VM. */
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

/** The holder of before comes first, whatever order they arrived in. Done before every decision. */
export function seatProven(lease: Lease): Lease {
  const proven = lease.waiting.find((each) => each.proof.length > 0)
  if (lease.holder !== undefined || proven === undefined) return lease
  return {
    ...lease,
    holder: { connection: proven.connection, kind: 'provisional', proof: proven.proof },
    waiting: lease.waiting.filter((each) => each !== proven),
  }
}

/** After `grant` or `confirm` was carried out. Throws where that would make a second holder. */
export function hold(lease: Lease, connection: ConnectionId, proof: readonly string[] = []): Lease {
  if (lease.holder !== undefined && lease.holder.connection !== connection) throw new Error(`the lease of ${lease.uid} is held already`)
  return { ...leave(lease, connection), holder: { connection, kind: 'confirmed', proof } }
}

/** Whether looking at the host can change what is decided; otherwise the next change of the state does. */
export function needsHost(lease: Lease): boolean {
  const seated = seatProven(lease)
  return seated.holder === undefined && seated.waiting.length > 0 && seated.grant !== undefined
}

/** `lease` is one that `seatProven` gave. */
export function decide(lease: Lease, host: HostView): Decision {
  const { holder, grant } = lease
  if (holder?.kind === 'provisional') return decideProvisional(holder, lease.uid, grant)
  const next = lease.waiting[0]
  if (next === undefined) return { kind: 'idle' }
  if (holder !== undefined)
    return {
      kind: 'wait',
      reason: 'WaitingForPrevious',
      message: 'another runner of this VM on this node holds the lease; it comes free when that runner ends',
    }
  if (grant === undefined) return noGrant
  if (host.poweringOff !== undefined) return { kind: 'wait', reason: 'WaitingForPrevious', message: host.poweringOff }
  if (host.imageLocked !== undefined)
    return { kind: 'wait', reason: 'ImageLocked', message: `${host.imageLocked}; waiting until it is closed, so that no two write it` }
  if (host.tapAttached !== undefined) return { kind: 'wait', reason: 'TapBusy', message: host.tapAttached }
  if (host.bridgeMissing !== undefined) return { kind: 'wait', reason: 'BridgeMissing', message: host.bridgeMissing }
  if (host.deviceMissing !== undefined) return { kind: 'wait', reason: 'DeviceMissing', message: host.deviceMissing }
  return { kind: 'grant', connection: next.connection, grant }
}

const noGrant: Decision = {
  kind: 'wait',
  reason: 'NoGrant',
  message: 'the agent of this node has not (yet) told the broker what this VM may have; is the agent running here?',
}

function decideProvisional(holder: Holder, uid: VmUid, grant: Grant | undefined): Decision {
  if (grant === undefined) return noGrant
  // A NIC that was added to or taken from the manifest meanwhile does not make the holder of the others a stranger.
  const expected = expectedTaps(uid, grant)
  if (holder.proof.some((name) => expected.includes(name)))
    return { kind: 'confirm', connection: holder.connection, grant, proof: holder.proof }
  return {
    kind: 'refuse',
    connection: holder.connection,
    message: `the TAPs ${holder.proof.join(', ')} are none of this VM's (${expected.join(', ')})`,
  }
}

/** A runner that was started before the networks were renamed has the TAPs of the old names. */
export function expectedTaps(uid: VmUid, grant: Grant): string[] {
  return nicsEver(grant).map((nic) => tapName(uid, nic.name))
}

export function nicsEver({ nics, formerNics = [] }: Grant): readonly NicGrant[] {
  return [...nics, ...formerNics]
}

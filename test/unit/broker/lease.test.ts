import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tapName } from '../../../src/api/names.ts'
import type { Grant } from '../../../src/api/wire/common.ts'
import { nothingInTheWay } from '../../../src/broker/host-view.ts'
import {
  decide,
  expectedTaps,
  freshLease,
  hold,
  type HostView,
  join,
  type Lease,
  leave,
  needsHost,
  seatProven,
  withGrant,
} from '../../../src/broker/lease.ts'
import { aMac, aUid, aVmName } from '../../support/branded.ts'

const uid = aUid('00000000-0000-4000-8000-000000000001')
const tap = tapName(uid, 'lan')
const grant: Grant = {
  version: 1,
  uid,
  vm: aVmName('web'),
  accelerator: 'tcg',
  nics: [{ name: 'lan', bridge: 'br0', mac: aMac('52:54:00:00:00:01'), mtu: null }],
}

const acquire = (lease: Lease, connection: number): Lease => join(lease, { connection, proof: [], reclaims: false })
const reclaim = (lease: Lease, connection: number, proof = [tap]): Lease => join(lease, { connection, proof, reclaims: true })
const granted = withGrant(freshLease(uid), grant)

describe('the lease of one VM', () => {
  it('goes to the first that asks, and the second waits', () => {
    const lease = acquire(acquire(granted, 1), 2)
    expect(decide(lease, nothingInTheWay)).toEqual({ kind: 'grant', connection: 1, grant })
    expect(decide(hold(lease, 1), nothingInTheWay)).toMatchObject({ kind: 'wait', reason: 'WaitingForPrevious' })
  })

  it('goes to waiters in order of arrival', () => {
    const lease = leave(hold(acquire(acquire(acquire(granted, 3), 1), 2), 3), 3)
    expect(decide(lease, nothingInTheWay)).toMatchObject({ kind: 'grant', connection: 1 })
    expect(decide(leave(lease, 1), nothingInTheWay)).toMatchObject({ kind: 'grant', connection: 2 })
  })

  it.each([
    ['imageLocked', 'ImageLocked'],
    ['tapAttached', 'TapBusy'],
    ['deviceMissing', 'DeviceMissing'],
    ['poweringOff', 'WaitingForPrevious'],
  ] as const)('is not given while %s', (obstacle, reason) => {
    expect(decide(acquire(granted, 1), { ...nothingInTheWay, [obstacle]: 'why' })).toMatchObject({
      kind: 'wait',
      reason,
      message: expect.stringContaining('why'),
    })
  })

  it.each(['BridgeMissing', 'BridgeMtuTooSmall', 'VlanUnavailable'] as const)('is not given while a bridge is in the way: %s', (reason) => {
    const bridge = { reason, message: 'why' }
    expect(decide(acquire(granted, 1), { ...nothingInTheWay, bridge })).toEqual({ kind: 'wait', ...bridge })
  })

  it('is not given without a grant', () => {
    expect(decide(acquire(freshLease(uid), 1), nothingInTheWay)).toMatchObject({ kind: 'wait', reason: 'NoGrant' })
  })

  it('goes to the proven holder before earlier waiters, and is confirmed by the grant', () => {
    const lease = seatProven(reclaim(acquire(freshLease(uid), 1), 2))
    expect(lease.holder).toMatchObject({ connection: 2, kind: 'provisional' })
    expect(decide(lease, nothingInTheWay)).toMatchObject({ kind: 'wait', reason: 'NoGrant' })
    expect(decide(withGrant(lease, grant), nothingInTheWay)).toEqual({ kind: 'confirm', connection: 2, grant, proof: [tap] })
  })

  it("is refused to TAPs that are none of the VM's, and confirmed for a holder that lacks a NIC added since", () => {
    expect(decide(seatProven(reclaim(granted, 1, ['sv000000000000'])), nothingInTheWay)).toMatchObject({ kind: 'refuse', connection: 1 })
    const wider = { ...grant, nics: [...grant.nics, { name: 'second', bridge: 'br0', mac: aMac('52:54:00:00:00:02'), mtu: null }] }
    expect(decide(seatProven(reclaim(withGrant(freshLease(uid), wider), 1)), nothingInTheWay)).toMatchObject({ kind: 'confirm' })
  })

  it('is confirmed for a holder whose networks were renamed since, and waits for its TAP', () => {
    const renamed: Grant = { ...grant, nics: grant.nics.map((nic) => ({ ...nic, name: 'dmz' })), formerNics: grant.nics }
    expect(decide(seatProven(reclaim(withGrant(freshLease(uid), renamed), 1)), nothingInTheWay)).toMatchObject({ kind: 'confirm' })
    expect(expectedTaps(uid, renamed)).toEqual([tapName(uid, 'dmz'), tap])
  })

  it('stays with the holder when the grant is revoked', () => {
    const lease = withGrant(hold(acquire(granted, 1), 1), undefined)
    expect(lease.holder?.connection).toBe(1)
    expect(decide(lease, nothingInTheWay)).toEqual({ kind: 'idle' })
  })

  it('never has two holders, and is never given while something of a previous one is there, whatever happens in whatever order', () => {
    const event = fc.oneof(
      fc.record({ kind: fc.constant('acquire' as const), connection: fc.nat(4) }),
      fc.record({ kind: fc.constant('reclaim' as const), connection: fc.nat(4) }),
      fc.record({ kind: fc.constant('leave' as const), connection: fc.nat(4) }),
      fc.record({
        kind: fc.constantFrom(
          'grant' as const,
          'revoke' as const,
          'lock' as const,
          'unlock' as const,
          'attach' as const,
          'detach' as const,
        ),
      }),
    )
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        let lease = freshLease(uid)
        let view: HostView = nothingInTheWay
        for (const each of events) {
          if (each.kind === 'acquire') lease = acquire(lease, each.connection)
          if (each.kind === 'reclaim') lease = reclaim(lease, each.connection)
          if (each.kind === 'leave') lease = leave(lease, each.connection)
          if (each.kind === 'grant') lease = withGrant(lease, grant)
          if (each.kind === 'revoke') lease = withGrant(lease, undefined)
          if (each.kind === 'lock' || each.kind === 'unlock') view = { ...view, imageLocked: each.kind === 'lock' ? 'locked' : undefined }
          if (each.kind === 'attach' || each.kind === 'detach')
            view = { ...view, tapAttached: each.kind === 'attach' ? 'attached' : undefined }
          const before = lease.holder?.connection
          lease = seatProven(lease)
          const decision = decide(lease, view)
          const isFree =
            before === undefined && lease.holder === undefined && view.imageLocked === undefined && view.tapAttached === undefined
          expect(decision.kind !== 'grant' || (isFree && needsHost(lease))).toBe(true)
          if (decision.kind === 'grant') lease = hold(lease, decision.connection)
          if (decision.kind === 'confirm') lease = hold(lease, decision.connection, decision.proof)
          expect([undefined, lease.holder?.connection]).toContain(before)
          const everybody = [...(lease.holder ? [lease.holder.connection] : []), ...lease.waiting.map((waiter) => waiter.connection)]
          expect(new Set(everybody).size).toBe(everybody.length)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('cannot be held by a second', () => {
    expect(() => hold(hold(acquire(acquire(granted, 1), 2), 1), 2)).toThrow('already has a holder')
  })
})

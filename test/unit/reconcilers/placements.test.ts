import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { noLoad, placementIndex, type PlacementFacts } from '../../../src/reconcilers/assets/placements.ts'
import { aNodeId, aUid, aVmName, recordOf } from '../../support/branded.ts'

const names = [aVmName('a'), aVmName('b'), aVmName('c')]
const uids = [aUid('00000000-0000-4000-8000-000000000001'), aUid('00000000-0000-4000-8000-000000000002')] as const
const anySaid = fc.record({
  vm: fc.constantFrom(...names),
  uid: fc.constantFrom(...uids),
  node: fc.constantFrom(aNodeId('n1'), aNodeId('n2'), undefined),
  disksMade: fc.boolean(),
  retainedAt: fc.constantFrom(undefined, '2026-01-01T00:00:00Z'),
})
const step = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), name: fc.constantFrom(...names), said: fc.option(anySaid, { nil: undefined }) }),
  fc.record({ kind: fc.constant('measure' as const), vm: fc.constantFrom(...names), bytes: fc.nat(100) }),
)

describe('placements that are kept up', () => {
  it('are those of all other records, whatever was put, taken away and measured before', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.constantFrom(...names), (steps, me) => {
        const bytes = new Map<string, number>()
        const held = new Map<string, PlacementFacts>()
        const it = placementIndex((vm) => ({ bytes: bytes.get(vm) ?? 0, diskBytes: 2 * (bytes.get(vm) ?? 0) }))
        for (const one of steps) {
          if (one.kind === 'measure') {
            bytes.set(one.vm, one.bytes)
            it.remeasure(one.vm)
            continue
          }
          // A record is of the VM that its name says.
          const said = one.said && { ...one.said, vm: one.name }
          if (said === undefined) held.delete(one.name)
          else held.set(one.name, said)
          it.put(recordOf(one.name), said)
        }
        const others = [...held.values()].filter(({ vm }) => vm !== me)
        for (const node of ['n1', 'n2']) {
          const there = others.filter((one) => one.node === node && one.retainedAt === undefined)
          const load = it.loadsBeside(me).get(node) ?? noLoad
          const bytesOf = (all: typeof there): number => all.reduce((sum, { vm }) => sum + (bytes.get(vm) ?? 0), 0)
          const unmadeDiskBytes = 2 * bytesOf(there.filter(({ disksMade }) => !disksMade))
          expect(load).toEqual({ vms: there.length, bytes: bytesOf(there), unmadeDiskBytes })
        }
        for (const uid of uids) expect(it.isClaimed(uid, me)).toBe(others.some((one) => one.uid === uid))
      }),
    )
  })

  it('count a record that says it is of another VM than its name', () => {
    const it = placementIndex(() => ({ bytes: 5, diskBytes: 7 }))
    it.put(recordOf('a'), { vm: aVmName('b'), uid: uids[0], node: aNodeId('n1'), retainedAt: undefined, disksMade: false })
    expect(it.loadsBeside(aVmName('a')).get('n1')).toEqual({ vms: 1, bytes: 5, unmadeDiskBytes: 7 })
    expect(it.isClaimed(uids[0], aVmName('a'))).toBe(true)
  })
})

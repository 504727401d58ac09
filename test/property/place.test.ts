import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type NodeFeature, nodeFeatures } from '../../src/api/node-features.ts'
import { type Candidate, type PlaceRequest, place } from '../../src/reconcilers/assets/place.ts'
import { factsOf } from '../simulation/simulated-agents.ts'
import { aNodeId } from '../support/branded.ts'

const gib = 1024 ** 3
const kvm = fc.constantFrom('works' as const, 'unusable' as const, 'pending' as const)

const candidate = (index: number): fc.Arbitrary<Candidate> =>
  fc
    .record({
      state: fc.constantFrom('ready', 'ready', 'down'),
      availability: fc.constantFrom('active' as const, 'active' as const, 'pause' as const, 'drain' as const),
      away: fc.boolean(),
      kvm,
      freeGiB: fc.integer({ min: 0, max: 50 }),
      features: fc.constantFrom(undefined, [], ['uefi', 'tpm'], [...nodeFeatures]),
      placedVms: fc.nat(3),
      committedGiB: fc.nat(8),
      reservedGiB: fc.nat(4),
      promisedGiB: fc.nat(50),
    })
    .map((one) => {
      const facts = factsOf(`n${index}`)
      const value = {
        ...facts,
        features: one.features && [...one.features],
        kvm: { ...facts.kvm, state: one.kvm },
        disk: { totalBytes: 50 * gib, freeBytes: one.freeGiB * gib },
      }
      return {
        node: {
          id: aNodeId(`id-${index}`),
          hostname: `n${index}`,
          state: one.state,
          availability: one.availability,
          memoryBytes: 8 * gib,
          nanoCpus: 4e9,
        },
        facts: one.away ? { known: false, message: 'away' } : { known: true, value },
        placedVms: one.placedVms,
        committedBytes: one.committedGiB * gib,
        reservedBytes: one.reservedGiB * gib,
        promisedDiskBytes: one.promisedGiB * gib,
      }
    })

const candidates = fc.integer({ min: 0, max: 5 }).chain((length) => fc.tuple(...Array.from({ length }, (_, index) => candidate(index))))
const request: fc.Arbitrary<PlaceRequest> = fc.record({
  accelerator: fc.constantFrom('auto' as const, 'kvm' as const, 'tcg' as const),
  softwareEmulation: fc.boolean(),
  nics: fc
    .record({ name: fc.constant('lan'), bridge: fc.constantFrom('br0', 'br9'), mtu: fc.constantFrom(null, 1_500, 9_000) })
    .map((nic) => [nic]),
  features: fc.constantFrom<readonly NodeFeature[]>([], ['uefi', 'tpm']),
  cpuLimit: fc.constantFrom(0, 4, 5),
  memoryBytes: fc.integer({ min: 1, max: 9 }).map((one) => one * gib),
  diskBytes: fc.integer({ min: 1, max: 50 }).map((one) => one * gib),
})

test('the choice does not depend on the order in which nodes are listed', () => {
  fc.assert(
    fc.property(request, candidates, (wanted, nodes) => {
      expect(place(wanted, nodes.toReversed())).toEqual(place(wanted, nodes))
    }),
  )
})

test('a VM is placed if and only if some node fits, on such a node, and every other rejection is reported', () => {
  fc.assert(
    fc.property(request, candidates, (wanted, nodes) => {
      const choice = place(wanted, nodes)
      const refused = new Set(choice.refusals.map((one) => one.hostname))
      expect(choice.kind === 'placed').toBe(refused.size < nodes.length)
      const told =
        choice.kind === 'placed' || choice.refusals.every(({ hostname, message }) => choice.message.includes(`${hostname}: ${message}`))
      expect(told).toBe(true)
      const chosen = nodes.filter((one) => choice.kind === 'placed' && one.node.id === choice.nodeId)
      expect(chosen.every(({ node, facts }) => !refused.has(node.hostname) && node.state === 'ready' && facts.known)).toBe(true)
    }),
  )
})

test('a node alone refuses or takes a VM as it does among others', () => {
  fc.assert(
    fc.property(request, candidates, (wanted, nodes) => {
      const among = new Set(place(wanted, nodes).refusals.map((one) => one.hostname))
      for (const one of nodes) expect(place(wanted, [one]).kind === 'refused').toBe(among.has(one.node.hostname))
    }),
  )
})

import { describe, expect, it } from 'vitest'
import { swarmFacts } from '../../contract/swarm-facts/facts.ts'
import type { Rig } from '../../contract/swarm-facts/rig.ts'
import { machinesRig, simulatedRig } from './simulated-rig.ts'

/** The same facts hold of real dockerd (test/contract/swarm-facts): who simulates something else is wrong here. */
const rigs: readonly (readonly [string, () => Rig])[] = [
  ['the simulated Swarm', simulatedRig],
  ['the simulated Swarm with machines', () => machinesRig(1)],
]

describe.each(rigs)('%s', (_rig, open) => {
  const rig = open()
  describe.each(swarmFacts)('%s', (_name, facts) => {
    const asked = facts.filter((one) => one.ofRealContainers !== true && (one.ofContainers !== true || rig.hasContainers))
    it.each(asked.map((one) => [one.name, one] as const))('%s', async (_fact, { holds }) => expect(await holds(rig)).toBeUndefined())
  })
})

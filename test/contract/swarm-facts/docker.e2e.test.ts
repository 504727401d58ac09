import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dockerRig } from './docker-rig.ts'
import { swarmFacts } from './facts.ts'

/** The same facts hold of the simulated Swarm (test/simulation/facts): what it says, dockerd says. */
let opened: Awaited<ReturnType<typeof dockerRig>>

beforeAll(async () => {
  opened = await dockerRig()
})
afterAll(() => opened.close())

describe.each(swarmFacts)('real dockerd: %s', (_name, facts) => {
  it.each(facts.map((one) => [one.name, one] as const))('%s', async (_fact, { holds }) => expect(await holds(opened.rig)).toBeUndefined())
})

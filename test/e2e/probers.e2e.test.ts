import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Deployment } from '../lab/deployment.ts'
import type { NodeName } from '../lab/layout.ts'
import { until } from '../lab/run.ts'
import { manifest, openE2e, removeManifests, waitReady } from './support.ts'

const name = 'probed'
let deployment: Deployment

beforeAll(async () => {
  deployment = await openE2e()
  deployment.writeManifest(`${name}.yaml`, manifest(name))
})

afterAll(async () => {
  await removeManifests(deployment, [name])
})

/** Resolves when the VM is reached from a node as `fits` says. */
async function reachedWhere(what: string, fits: (facts: Readonly<Record<string, string>>) => boolean): Promise<string> {
  return until(what, 60_000, async () => {
    const { facts, conditions } = await waitReady(deployment, name)
    return fits(facts) ? conditions.find((one) => one.type === 'Reachable')?.message : undefined
  })
}

it('a node that is cut off from the LAN makes no VM of another node unreachable, and is named', async () => {
  const { lab } = deployment
  const prober = (await waitReady(deployment, name)).facts['probeNode'] as NodeName
  // Its bridge keeps its carrier: frames alone are lost.
  await lab.exec('lan', ['ip', 'link', 'set', prober, 'nomaster'])
  try {
    const message = await reachedWhere('another prober', (facts) => facts['notReachedFrom'] === prober)
    expect(message).toContain(`but ${prober} did not`)
  } finally {
    await lab.exec('lan', ['ip', 'link', 'set', prober, 'master', 'sw', 'up'])
  }
  await reachedWhere('the first prober again', (facts) => facts['probeNode'] === prober)
})

it('a node whose broker is away makes no VM of another node Unknown', async () => {
  const { lab } = deployment
  const prober = (await waitReady(deployment, name)).facts['probeNode'] as NodeName
  await lab.mustDocker(prober, ['stop', 'swarmvirt-broker'])
  try {
    await reachedWhere('another prober', (facts) => facts['probeNode'] !== prober)
  } finally {
    await lab.mustDocker(prober, ['start', 'swarmvirt-broker'])
  }
})

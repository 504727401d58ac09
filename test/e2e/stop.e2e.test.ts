import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deployment } from '../lab/deployment.ts'
import type { NodeName } from '../lab/lab.ts'
import { until } from '../lab/run.ts'
import {
  conditionOf,
  containerOf,
  containersOf,
  manifest,
  openE2e,
  removeManifests,
  orderlyShutdown,
  powerCut,
  serialLog,
  serviceOf,
  uidOf,
  waitBooted,
  waitForCondition,
  waitReady,
} from './support.ts'

const name = 'stopper'
let deployment: Deployment
let uid: string
let node: NodeName
let ip: string

function orderlyShutdowns(): number {
  return serialLog(deployment.lab, node, uid).split(orderlyShutdown).length - 1
}

async function containerGone(id: string): Promise<void> {
  await until('the container to end', 130_000, async () =>
    (await containersOf(deployment.lab, name)).some((one) => one.id === id) ? undefined : true,
  )
}

async function setAvailability(of: NodeName, availability: 'active' | 'drain' | 'pause'): Promise<void> {
  await deployment.lab.mustDocker('n1', ['node', 'update', '--availability', availability, of])
}

beforeAll(async () => {
  deployment = await openE2e()
  // Not beside the controller, which is to report a drained node.
  await setAvailability('n1', 'pause')
  deployment.writeManifest(`${name}.yaml`, manifest(name))
  await waitForCondition(deployment, name, 'Placed', (one) => one.status === 'True')
  await setAvailability('n1', 'active')
  ip = (await waitReady(deployment, name)).facts['ip'] ?? ''
  uid = await uidOf(deployment.lab, name)
  node = (await containerOf(deployment.lab, name)).node
})

afterAll(async () => {
  await removeManifests(deployment, [name])
})

describe('a guest is shut down in order, never cut off', () => {
  it('when its manifest says Halted, and it starts again when it says Always', async () => {
    const { id } = await containerOf(deployment.lab, name)
    deployment.writeManifest(`${name}.yaml`, manifest(name, { runStrategy: 'Halted' }))
    await containerGone(id)
    expect(orderlyShutdowns()).toBe(1)
    expect((await serviceOf(deployment.lab, name))?.Spec.Mode.Replicated.Replicas).toBe(0)
    await waitForCondition(deployment, name, 'Ready', (one) => one.reason === 'Halted')
    deployment.writeManifest(`${name}.yaml`, manifest(name))
    await waitBooted(deployment, name, ip, 2)
  })

  it('when its service is removed by hand', async () => {
    const { id } = await containerOf(deployment.lab, name)
    await deployment.lab.mustDocker('n1', ['service', 'rm', `vm-${name}`])
    await containerGone(id)
    expect(orderlyShutdowns()).toBe(2)
    await waitBooted(deployment, name, ip, 3)
  })

  it('when its node is drained', async () => {
    const { id } = await containerOf(deployment.lab, name)
    await setAvailability(node, 'drain')
    try {
      await containerGone(id)
      expect(orderlyShutdowns()).toBe(3)
      const seen = await waitForCondition(deployment, name, 'ServiceReady', (one) => one.reason === 'NodeDrained')
      expect(conditionOf(seen, 'ServiceReady')?.message).toContain(`docker node update --availability active ${node}`)
    } finally {
      await setAvailability(node, 'active')
    }
    await waitBooted(deployment, name, ip, 4)
  })

  it('and no boot ever found a disk that was cut off', () => {
    expect(serialLog(deployment.lab, node, uid)).not.toContain(powerCut)
  })
})

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { containerOf, guestPage, manifest, openE2e, otherNode, reservedMac, waitForCondition, waitGone, waitReady } from '../e2e/support.ts'
import type { VmView } from '../../src/api/wire/controller-api.ts'
import type { Deployment } from '../lab/deployment.ts'
import type { NodeName } from '../lab/lab.ts'
import { until } from '../lab/run.ts'

const name = 'phoenix'
let deployment: Deployment
let vm: VmView

beforeAll(async () => {
  deployment = await openE2e()
  deployment.writeManifest(`${name}.yaml`, manifest(name))
  vm = await waitReady(deployment, name)
})

afterAll(async () => {
  deployment.removeManifest(`${name}.yaml`)
  await waitGone(deployment, name)
})

async function controllers(count: 0 | 1): Promise<void> {
  await deployment.lab.mustDocker('n1', ['service', 'scale', '--detach=false', `swarmvirt_controller=${count}`])
}

/** With nobody to reconcile: from the grants that the agent kept, the disk, and Swarm's own restart. */
async function comesUpByItself(node: NodeName): Promise<void> {
  const { lab } = deployment
  await lab.waitReady('n1', 'n2', 'n3')
  const page = await until('the guest to answer', 240_000, () => guestPage(lab, vm.facts['ip'] ?? '', otherNode(lab, node)), 1000)
  expect(page).toContain(name)
}

describe('with no controller', () => {
  it('a VM boots automatically after a power failure of every node, with the NICs from before an edit that waits for a restart', async () => {
    const { lab } = deployment
    const { node } = await containerOf(lab, name)
    deployment.writeManifest(`${name}.yaml`, manifest(name, { mac: '52:54:00:aa:bb:cc' }))
    await waitForCondition(deployment, name, 'RestartRequired', (one) => one.status === 'True' && one.message.includes('mac'))
    await controllers(0)
    await Promise.all(lab.nodes.map((one) => lab.powerOff(one.name)))
    for (const one of lab.nodes) await lab.powerOn(one.name)
    await comesUpByItself(node)
    expect(await guestPage(lab, vm.facts['ip'] ?? '', otherNode(lab, node), '/mac')).toBe(reservedMac(name))
    await controllers(1)
    await waitForCondition(deployment, name, 'RestartRequired', (one) => one.status === 'True' && one.message.includes('mac'))
    deployment.writeManifest(`${name}.yaml`, manifest(name))
    await waitForCondition(deployment, name, 'RestartRequired', (one) => one.status === 'False')
    await waitReady(deployment, name)
  })

  it('and after every dockerd was killed and started', async () => {
    const { lab } = deployment
    const { node } = await containerOf(lab, name)
    await controllers(0)
    await Promise.all(lab.nodes.map((one) => lab.killDockerd(one.name)))
    await Promise.all(lab.nodes.map((one) => lab.startDockerd(one.name)))
    await comesUpByItself(node)
    await controllers(1)
    await waitReady(deployment, name)
  })
})

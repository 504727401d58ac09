import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openE2e, containerOf, guestPage, manifest, otherNode, serialLog, uidOf, waitGone, waitReady } from '../e2e/support.ts'
import type { VmView } from '../../src/api/wire/controller-api.ts'
import type { Deployment } from '../lab/deployment.ts'
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

describe('all nodes go dark and come back with no controller', () => {
  it('and the VM comes up by itself, from grants its agent kept', async () => {
    const { lab } = deployment
    const { node } = await containerOf(lab, name)
    const uid = await uidOf(lab, name)
    await lab.mustDocker('n1', ['service', 'scale', '--detach=false', 'swarmvirt_controller=0'])
    await Promise.all(lab.nodes.map((one) => lab.powerOff(one.name)))
    for (const one of lab.nodes) await lab.powerOn(one.name)
    await lab.waitReady('n1', 'n2', 'n3')
    const page = await until('the guest to answer', 240_000, () => guestPage(lab, vm.facts['ip'] ?? '', otherNode(lab, node)), 1000)
    expect(page).toContain(name)
    expect(serialLog(lab, node, uid)).toContain('swarmvirt-guest: up')
    await lab.mustDocker('n1', ['service', 'scale', '--detach=false', 'swarmvirt_controller=1'])
    await waitReady(deployment, name)
  })
})

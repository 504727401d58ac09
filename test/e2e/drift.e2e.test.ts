import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { VmView } from '../../src/api/wire/controller-api.ts'
import { templateHashOf } from '../../src/reconcilers/services/projection.ts'
import type { Deployment } from '../lab/deployment.ts'
import type { NodeName } from '../lab/lab.ts'
import { until } from '../lab/run.ts'
import {
  conditionOf,
  containerOf,
  containersOf,
  guestPage,
  instanceDirectory,
  manifest,
  openE2e,
  removeManifests,
  otherNode,
  serviceOf,
  type ServiceView,
  uidOf,
  waitBooted,
  waitForCondition,
  waitGone,
  waitReady,
} from './support.ts'

const name = 'drift'
let deployment: Deployment
let vm: VmView

async function service(): Promise<ServiceView> {
  const seen = await serviceOf(deployment.lab, name)
  if (seen === undefined) throw new Error('the service is gone')
  return seen
}

function serviceBack(what: string, wanted: (seen: ServiceView) => boolean): Promise<ServiceView> {
  return until(
    what,
    90_000,
    async () => {
      const seen = await serviceOf(deployment.lab, name)
      return seen !== undefined && wanted(seen) ? seen : undefined
    },
    300,
  )
}

/** Read for certain: a page that cannot be had is a failure here. */
async function boots(): Promise<number> {
  const { node } = await containerOf(deployment.lab, name)
  return Number(await guestPage(deployment.lab, ip(), otherNode(deployment.lab, node), '/boot-count'))
}

function ip(): string {
  return vm.facts['ip'] ?? ''
}

function update(...args: string[]): Promise<string> {
  return deployment.lab.mustDocker('n2', ['service', 'update', '--detach', '--quiet', ...args, `vm-${name}`])
}

beforeAll(async () => {
  deployment = await openE2e()
  deployment.writeManifest(`${name}.yaml`, manifest(name))
  vm = await waitReady(deployment, name)
})

afterAll(async () => {
  await removeManifests(deployment, [name])
})

describe('what a person changes by hand', () => {
  it('restores each of our labels except managed-by, without restarting the VM', async () => {
    const before = await service()
    const { id } = await containerOf(deployment.lab, name)
    const ours = Object.keys(before.Spec.Labels).filter((label) => label !== 'swarmvirt.managed-by')
    expect(ours.length).toBeGreaterThan(5)
    for (const label of ours) {
      await update('--label-rm', label)
      await serviceBack(`label ${label}`, (seen) => seen.Spec.Labels[label] === before.Spec.Labels[label])
    }
    expect((await containersOf(deployment.lab, name)).map((one) => one.id)).toEqual([id])
    expect(await waitReady(deployment, name)).toBeDefined()
  })

  it('reports a removed managed-by as OwnershipLost and leaves the service alone until it is back', async () => {
    await update('--label-rm', 'swarmvirt.managed-by')
    const seen = await waitForCondition(deployment, name, 'Owned', (one) => one.reason === 'OwnershipLost')
    expect(conditionOf(seen, 'Owned')?.message).toMatch(/managed-by/)
    const before = await service()
    await new Promise((resolve) => setTimeout(resolve, 3000))
    expect(await service()).toEqual(before)
    await update('--label-add', 'swarmvirt.managed-by=swarmvirt')
    await waitReady(deployment, name)
  })

  it('restores the memory limit', async () => {
    const before = (await service()).Spec.TaskTemplate.Resources.Limits.MemoryBytes
    const { id } = await containerOf(deployment.lab, name)
    await update('--limit-memory', '1g')
    await serviceBack('the memory limit', (seen) => seen.Spec.TaskTemplate.Resources.Limits.MemoryBytes === before)
    await replaced(id)
  })

  it('restores the replicas', async () => {
    const { id } = await containerOf(deployment.lab, name)
    await deployment.lab.mustDocker('n2', ['service', 'scale', '--detach', `vm-${name}=0`])
    await serviceBack('one replica', (seen) => seen.Spec.Mode.Replicated.Replicas === 1)
    await replaced(id)
  })

  it('makes a removed service again: same uid, disk, MAC and address', async () => {
    const before = { uid: await uidOf(deployment.lab, name), id: (await service()).ID, boots: await boots(), facts: vm.facts }
    await deployment.lab.mustDocker('n2', ['service', 'rm', `vm-${name}`])
    const again = await serviceBack('a new service', (seen) => seen.ID !== before.id)
    expect(again.Spec.Labels['swarmvirt.uid']).toBe(before.uid)
    const after = await waitBooted(deployment, name, ip(), before.boots + 1)
    expect(after.facts['mac']).toBe(before.facts['mac'])
    expect(after.facts['ip']).toBe(before.facts['ip'])
  })

  it('corrects constraints that a person changed, and leaves the VM where its disk is', async () => {
    const { id, node } = await containerOf(deployment.lab, name)
    const before = (await service()).Spec.TaskTemplate.Placement.Constraints
    await update('--constraint-add', 'node.labels.swarmvirt.bridge.br0==true')
    await serviceBack('the constraints', (seen) => seen.Spec.TaskTemplate.Placement.Constraints.join() === before.join())
    expect(await containerOf(deployment.lab, name)).toMatchObject({ id, node })
  })

  it('restores vm-capable after it was removed, and boots the same disk on the same node', async () => {
    const bootsBefore = await boots()
    const { node, id } = await containerOf(deployment.lab, name)
    // Swarm rejects the running task when the label goes.
    await deployment.lab.mustDocker('n1', ['node', 'update', '--label-rm', 'vm-capable', node])
    await replaced(id)
    await waitBooted(deployment, name, ip(), bootsBefore + 1)
    expect((await containerOf(deployment.lab, name)).node).toBe(node)
  })
})

describe('a service that release 0.1 constrained by labels', () => {
  afterAll(() => controllers(1))

  it('is moved over to the ID of its node, then the label goes, and the VM keeps its container', async () => {
    const { lab } = deployment
    const { node, id } = await containerOf(lab, name)
    const [uid, bootsBefore, ours] = [await uidOf(lab, name), await boots(), (await service()).Spec.TaskTemplate.Placement.Constraints]
    await controllers(0)
    await lab.mustDocker('n1', ['node', 'update', '--label-add', `swarmvirt.vm.${name}=${uid}`, node])
    const former = [`node.labels.swarmvirt.vm.${name}==${uid}`, 'node.labels.swarmvirt.bridge.br0==true']
    await update('--constraint-rm', ours[0] ?? '', ...former.flatMap((one) => ['--constraint-add', one]))
    const { Spec } = await service()
    await update('--label-add', `swarmvirt.hash.template=${templateHashOf({ ...Spec })}`)
    expect((await service()).Spec.TaskTemplate.Placement.Constraints.toSorted()).toEqual(
      [...former, 'node.labels.vm-capable==true'].toSorted(),
    )
    await controllers(1)
    await serviceBack('the constraints', (seen) => seen.Spec.TaskTemplate.Placement.Constraints.join() === ours.join())
    await until('the label to go', 60_000, async () => ((await formerLabel(node)) === '' ? true : undefined), 300)
    await waitReady(deployment, name)
    expect((await containersOf(lab, name)).map((one) => one.id)).toEqual([id])
    expect(await boots()).toBe(bootsBefore)
  })
})

async function controllers(count: 0 | 1): Promise<void> {
  await deployment.lab.mustDocker('n1', ['service', 'scale', '--detach=false', `swarmvirt_controller=${count}`])
}

/** The container of a VM that was restarted, alone and with its guest up. */
async function replaced(id: string): Promise<void> {
  await until('another container', 90_000, async () => {
    const now = await containersOf(deployment.lab, name)
    return now.length === 1 && now[0]?.id !== id ? true : undefined
  })
  await until('the guest’s page', 90_000, boots, 500)
  await waitReady(deployment, name)
}

async function formerLabel(node: NodeName): Promise<string> {
  return (
    await deployment.lab.mustDocker('n1', ['node', 'inspect', '--format', `{{index .Spec.Labels "swarmvirt.vm.${name}"}}`, node])
  ).trim()
}

describe('a manifest that goes and returns', () => {
  it('keeps the disk, and gives the returning VM its uid, MAC, address and disk again', async () => {
    const uid = await uidOf(deployment.lab, name)
    const bootsBefore = await boots()
    const { node } = await containerOf(deployment.lab, name)
    deployment.removeManifest(`${name}.yaml`)
    await waitGone(deployment, name)
    const directory = instanceDirectory(deployment.lab, node, uid)
    expect(readFileSync(join(directory, 'disks/root.qcow2')).length).toBeGreaterThan(0)
    deployment.writeManifest(`${name}.yaml`, manifest(name))
    const again = await waitBooted(deployment, name, ip(), bootsBefore + 1)
    expect(await uidOf(deployment.lab, name)).toBe(uid)
    expect((await containerOf(deployment.lab, name)).node).toBe(node)
    expect(again.facts['mac']).toBe(vm.facts['mac'])
    expect(again.facts['ip']).toBe(vm.facts['ip'])
  })
})

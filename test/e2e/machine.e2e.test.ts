/** Processors, limits, a SCSI disk and a kernel of a VM, as its guest and its task have them. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cpuModelPattern, cpuModels } from '../../src/api/cpu-models.ts'
import type { Deployment } from '../lab/deployment.ts'
import {
  containerOf,
  guestPage,
  manifest,
  nodeOfVm,
  openE2e,
  otherNode,
  removeManifests,
  serviceOf,
  waitForCondition,
  waitReady,
} from './support.ts'

const name = 'machine'
const cpu = { cores: 1, sockets: 2, model: 'Nehalem' }
/** Boots its own kernel with a SCSI disk. */
const other = 'machine-2'
const args = 'console=ttyS0 quiet mitigations=off marker=a,b=c,json:{"x":1}'
const kernel = { image: 'images/tiny-vmlinuz', initrd: 'images/tiny-initrd', args }
const disks = [{ name: 'root', size: '1Gi', bus: 'scsi', image: { source: 'images/tiny.qcow2' } }]
let deployment: Deployment
let ip: string

beforeAll(async () => {
  deployment = await openE2e()
  deployment.writeManifest(`${name}.yaml`, manifest(name, { more: { cpu, resources: { memoryOverhead: '300Mi', cpuLimit: 1.5 } } }))
  deployment.writeManifest(`${other}.yaml`, manifest(other, { disks, more: { firmware: { kernel } } }))
  ip = (await waitReady(deployment, name)).facts['ip'] ?? ''
})

afterAll(() => removeManifests(deployment, [name, other]))

describe('a VM with two sockets, a CPU model and limits', () => {
  it('has a guest that sees both processors and the model', async () => {
    const page = await guestPage(deployment.lab, ip, otherNode(deployment.lab, await nodeOfVm(deployment.lab, name)), '/machine', 30_000)
    expect(page.split('\n').slice(0, 4)).toEqual(['cpus 2', 'sockets 2', expect.stringContaining('Nehalem'), 'firmware bios'])
  })

  it('has a task with the memory and the CPUs that the manifest gives it', async () => {
    const limits = (await serviceOf(deployment.lab, name))?.Spec.TaskTemplate.Resources.Limits
    expect(limits).toMatchObject({ MemoryBytes: (192 + 300) * 1024 ** 2, NanoCPUs: 1.5e9 })
    const { pid } = await containerOf(deployment.lab, name)
    expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toMatch(/memory|0::/)
  })

  it('can have every CPU model that QEMU knows, and no other', async () => {
    const { node, id } = await containerOf(deployment.lab, name)
    const help = await deployment.lab.mustDocker(node, ['exec', id, 'qemu-system-x86_64', '-cpu', 'help'])
    const known = (help.split('\n\n')[0] ?? '')
      .split('\n')
      .slice(1)
      .flatMap((line) => line.trim().split(/\s/)[0] || [])
    expect(known.filter((model) => !cpuModelPattern.test(model))).toEqual(['base'])
    expect(cpuModels.filter((model) => !known.includes(model))).toEqual([])
  })
})

describe('a VM with a kernel of its own and a SCSI disk', () => {
  it('boots the kernel with exactly these arguments, and has the disk', async () => {
    const address = (await waitReady(deployment, other)).facts['ip'] ?? ''
    const from = otherNode(deployment.lab, await nodeOfVm(deployment.lab, other))
    expect(await guestPage(deployment.lab, address, from, '/machine', 30_000)).toContain(`arguments ${args}`)
    expect(await guestPage(deployment.lab, address, from, '/disks', 30_000)).toContain(`sda ${1024 ** 3}`)
  })

  it('reports a kernel that is missing on its node, and keeps running', async () => {
    const { id } = await containerOf(deployment.lab, other)
    const missing = { kernel: { ...kernel, image: 'images/no-such-kernel' } }
    deployment.writeManifest(`${other}.yaml`, manifest(other, { disks, more: { firmware: missing } }))
    await waitForCondition(deployment, other, 'AssetsReady', (one) => one.message.includes('ImageMissing'))
    expect((await containerOf(deployment.lab, other)).id).toBe(id)
  })
})

import { copyFileSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deployment } from '../lab/deployment.ts'
import type { NodeName } from '../lab/lab.ts'
import { until } from '../lab/run.ts'
import {
  conditionOf,
  containerOf,
  instanceDirectory,
  manifest,
  nodeOfVm,
  openE2e,
  reservedMac,
  serviceOf,
  uidOf,
  waitBooted,
  waitForCondition,
  waitGone,
  waitReady,
} from '../e2e/support.ts'

const name = 'editor'
const className = 'editor-size'
const file = `${name}.yaml`
const mebibyte = 1024 ** 2
let deployment: Deployment
let uid: string
let node: NodeName
let ip: string

interface Document {
  metadata: Record<string, unknown>
  spec: Record<string, unknown>
}
/** The current manifest. Each edit is applied on top of those before. */
let document: Document

function edit(change: (document: Document) => void): void {
  change(document)
  deployment.writeManifest(file, JSON.stringify(document, null, 2))
}

function writeClass(memory: string): void {
  const written = { apiVersion: 'swarmvirt.dev/v1alpha1', kind: 'VirtualMachineClass', metadata: { name: className }, spec: { memory } }
  deployment.writeManifest(`${className}.yaml`, JSON.stringify(written))
}

/** The limit is the guest's memory and an overhead that stays the same. */
async function memoryLimit(): Promise<number> {
  return (await serviceOf(deployment.lab, name))?.Spec.TaskTemplate.Resources.Limits.MemoryBytes ?? 0
}

async function restarted(before: string): Promise<void> {
  await until('another container', 120_000, async () => ((await containerOf(deployment.lab, name)).id === before ? undefined : true), 300)
}

/** Takes the line of the refusal into the manifest, as a person would. */
async function allow(reason: string): Promise<void> {
  const refused = await waitForCondition(deployment, name, 'Stalled', (one) => one.reason === reason)
  const { message = '' } = conditionOf(refused, 'AssetsReady') ?? {}
  const [, key = '', value = ''] = /(swarmvirt\.dev\/replace-disks): "([a-z]+=[0-9a-f]{16})"/.exec(message) ?? []
  expect(key, message).not.toBe('')
  edit(({ metadata }) => void (metadata['annotations'] = { [key]: value }))
}

function identity(): unknown {
  return JSON.parse(readFileSync(join(instanceDirectory(deployment.lab, node, uid), 'identity.json'), 'utf8'))
}

function upToDate() {
  return waitForCondition(deployment, name, 'RestartRequired', (one) => one.status === 'False')
}

beforeAll(async () => {
  deployment = await openE2e()
  document = JSON.parse(manifest(name)) as Document
  edit(() => undefined)
  ip = (await waitReady(deployment, name)).facts['ip'] ?? ''
  uid = await uidOf(deployment.lab, name)
  node = await nodeOfVm(deployment.lab, name)
})

afterAll(async () => {
  deployment.removeManifest(file)
  deployment.removeManifest(`${className}.yaml`)
  await waitGone(deployment, name)
})

describe('an edit of a manifest does what the schema says', () => {
  it('an expected address that the guest has not is shown with the reservation that is missing, and nothing restarts', async () => {
    const { id } = await containerOf(deployment.lab, name)
    const network = { name: 'lan', bridge: 'br0', mac: 'auto' }
    edit(({ spec }) => void (spec['networks'] = [{ ...network, address: '192.168.50.250' }]))
    const vm = await waitForCondition(deployment, name, 'AddressLearned', (one) => one.reason === 'UnexpectedAddress')
    expect(conditionOf(vm, 'AddressLearned')?.message).toContain(`dhcp-host=${reservedMac(name)},192.168.50.250`)
    expect(vm.facts['ip']).toBe(ip)
    edit(({ spec }) => void (spec['networks'] = [{ ...network, address: ip }]))
    await waitReady(deployment, name)
    expect((await containerOf(deployment.lab, name)).id).toBe(id)
  })

  it('memory waits for a restart and says so, and is there after the restart that the message names', async () => {
    const [{ id }, before] = [await containerOf(deployment.lab, name), await memoryLimit()]
    edit(({ spec }) => void (spec['memory'] = '224Mi'))
    const vm = await waitForCondition(deployment, name, 'RestartRequired', (one) => one.status === 'True')
    expect(conditionOf(vm, 'RestartRequired')?.message).toContain('spec.memory 192 MiB → 224 MiB')
    expect([(await containerOf(deployment.lab, name)).id, await memoryLimit()]).toEqual([id, before])
    await deployment.lab.mustDocker('n1', ['service', 'update', '--detach', '--force', `vm-${name}`])
    await upToDate()
    expect(await memoryLimit()).toBe(before + 32 * mebibyte)
    await restarted(id)
    await waitReady(deployment, name)
  })

  it('with updatePolicy: Restart it is applied at once', async () => {
    const [{ id }, before] = [await containerOf(deployment.lab, name), await memoryLimit()]
    edit(({ spec }) => Object.assign(spec, { updatePolicy: 'Restart', memory: '208Mi' }))
    await until('the new memory', 60_000, async () => ((await memoryLimit()) === before - 16 * mebibyte ? true : undefined))
    await restarted(id)
    await upToDate()
    await waitReady(deployment, name)
    edit(({ spec }) => void (spec['updatePolicy'] = 'OnRestart'))
  })

  it('an edit of its class is one of the VM, and names the class', async () => {
    const { id } = await containerOf(deployment.lab, name)
    const { generation } = await upToDate()
    writeClass('208Mi')
    edit(({ spec }) => {
      delete spec['memory']
      spec['class'] = className
    })
    await until('the class to be in force', 60_000, async () => ((await deployment.vm(name))?.generation === generation ? undefined : true))
    writeClass('192Mi')
    const vm = await waitForCondition(deployment, name, 'RestartRequired', (one) => one.status === 'True')
    expect(conditionOf(vm, 'RestartRequired')?.message).toContain(`spec.memory 208 MiB → 192 MiB (class ${className})`)
    writeClass('208Mi')
    await upToDate()
    expect((await containerOf(deployment.lab, name)).id).toBe(id)
  })

  it('a new image is rejected with the line that allows it; with that line a VM that is off gets a new disk, also under another name, and keeps its identity', async () => {
    const { id } = await containerOf(deployment.lab, name)
    const { stateRoot } = deployment.lab.node(node)
    copyFileSync(join(stateRoot, 'images/tiny.qcow2'), join(stateRoot, 'images/tiny-2.qcow2'))
    edit(({ spec }) => void (spec['disks'] = [{ name: 'root', size: '1Gi', image: { source: 'images/tiny-2.qcow2' } }]))
    await allow('ImageChangeRefused')
    expect((await containerOf(deployment.lab, name)).id).toBe(id)
    await waitForCondition(deployment, name, 'AssetsReady', (one) => one.reason === 'DiskInUse')
    edit(({ spec }) => void (spec['runStrategy'] = 'Halted'))
    await waitForCondition(deployment, name, 'AssetsReady', (one) => one.status === 'True', 180_000)
    expect(identity()).toMatchObject({ uid, disks: [{ name: 'root', imageSource: 'images/tiny-2.qcow2' }] })

    edit(({ spec }) => void (spec['disks'] = [{ name: 'system', size: '1Gi', image: { source: 'images/tiny-2.qcow2' } }]))
    await allow('DiskRenameRefused')
    await waitForCondition(deployment, name, 'AssetsReady', (one) => one.status === 'True')
    expect(readdirSync(join(instanceDirectory(deployment.lab, node, uid), 'disks'))).toEqual(['system.qcow2'])

    edit(({ spec }) => void (spec['runStrategy'] = 'Always'))
    // A disk that was never booted counts from one.
    await waitBooted(deployment, name, ip, 1)
    expect(await uidOf(deployment.lab, name)).toBe(uid)
  })
})

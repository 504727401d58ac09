import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DisksView, DiskView } from '../../src/api/wire/disks.ts'
import type { Deployment } from '../lab/deployment.ts'
import { until } from '../lab/run.ts'
import { instanceDirectory, manifest, nodeOfVm, openE2e, removeManifests, uidOf, waitForCondition, waitGone, waitReady } from './support.ts'

const going = 'going'
const staying = 'staying'
let deployment: Deployment
let deletedUid: string

async function disksOf(vm: string): Promise<readonly DiskView[]> {
  const { disks, unasked } = (await deployment.api('/api/v1/disks')).body as DisksView
  expect(unasked).toEqual([])
  return disks.filter((one) => one.vm === vm)
}

async function recordExists(vm: string): Promise<boolean> {
  return (await deployment.lab.docker('n1', ['config', 'inspect', `sv-vm-${vm}`])).code === 0
}

const withDisks = (name: string): string => manifest(name).replace('"accelerator"', '"deletionPolicy": "Delete", "accelerator"')

beforeAll(async () => {
  deployment = await openE2e()
  deployment.writeManifest(`${going}.yaml`, withDisks(going))
  deployment.writeManifest(`${staying}.yaml`, manifest(staying))
  await Promise.all([going, staying].map((name) => waitReady(deployment, name)))
})

afterAll(async () => {
  await removeManifests(deployment, [going, staying])
})

describe('the disks of a removed VM', () => {
  it('are in use while it runs, and say where they are', async () => {
    for (const name of [going, staying]) {
      const node = await nodeOfVm(deployment.lab, name)
      const uid = await uidOf(deployment.lab, name)
      expect(await disksOf(name)).toMatchObject([{ node, uid, disk: 'root', state: 'InUse', sizeBytes: 1024 ** 3, retainedAt: null }])
    }
  })

  it('go with it where the manifest said Delete, and nothing of it is left', async () => {
    const [node, uid] = [await nodeOfVm(deployment.lab, going), await uidOf(deployment.lab, going)]
    const directory = instanceDirectory(deployment.lab, node, uid)
    deletedUid = uid
    expect(existsSync(directory)).toBe(true)
    deployment.removeManifest(`${going}.yaml`)
    await waitGone(deployment, going)
    await until('the record to go', 60_000, async () => ((await recordExists(going)) ? undefined : true), 300)
    expect(existsSync(directory)).toBe(false)
    expect(await disksOf(going)).toEqual([])
  })

  it('are new, with another uid, when its manifest returns', async () => {
    deployment.writeManifest(`${going}.yaml`, manifest(going, { runStrategy: 'Halted' }))
    await waitForCondition(deployment, going, 'AssetsReady', (one) => one.status === 'True')
    const [disk] = await until('its disk', 60_000, async () => ((await disksOf(going)).length > 0 ? disksOf(going) : undefined), 300)
    expect(disk?.state).toBe('InUse')
    expect(disk?.uid).not.toBe(deletedUid)
  })

  it('stay where the manifest did not say so, and are listed as retained', async () => {
    const [node, uid] = [await nodeOfVm(deployment.lab, staying), await uidOf(deployment.lab, staying)]
    deployment.removeManifest(`${staying}.yaml`)
    await waitGone(deployment, staying)
    const retained = await until(
      'a retained disk',
      60_000,
      async () => (await disksOf(staying)).find((one) => one.state === 'Retained'),
      300,
    )
    expect(retained).toMatchObject({ node, uid, disk: 'root' })
    expect(Date.parse(retained.retainedAt ?? '')).toBeGreaterThan(Date.now() - 120_000)
    expect(existsSync(instanceDirectory(deployment.lab, node, uid))).toBe(true)
  })
})

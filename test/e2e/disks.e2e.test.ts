/** A VM with several disks, as its guest sees them. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deployment } from '../lab/deployment.ts'
import { run } from '../lab/run.ts'
import {
  conditionOf,
  containerOf,
  guestPage,
  guestShows,
  instanceDirectory,
  manifest,
  nodeOfVm,
  openE2e,
  otherNode,
  removeManifests,
  uidOf,
  waitBooted,
  waitForCondition,
  waitReady,
} from './support.ts'

const name = 'many-disks'
const gibibyte = 1024 ** 3
const root = { name: 'root', size: '1Gi', image: { source: 'images/tiny.qcow2' } }
const data = { name: 'data', size: '3Gi' }
const scratch = { name: 'scratch', size: '2Gi' }
let deployment: Deployment
let ip: string
let directory: string

function declare(...disks: readonly object[]): void {
  deployment.writeManifest(`${name}.yaml`, manifest(name, { disks }))
}

/** Sizes by device, without the seed. */
async function guestDisks(): Promise<readonly string[]> {
  const page = await guestPage(deployment.lab, ip, otherNode(deployment.lab, await nodeOfVm(deployment.lab, name)), '/disks', 30_000)
  return page.split('\n').filter((line) => Number(line.split(' ')[1]) >= gibibyte)
}

async function restarted(boots: number): Promise<void> {
  await waitForCondition(deployment, name, 'RestartRequired', (one) => one.status === 'True')
  await deployment.lab.mustDocker('n1', ['service', 'update', '--detach', '--force', `vm-${name}`])
  await waitForCondition(deployment, name, 'RestartRequired', (one) => one.status === 'False')
  await waitBooted(deployment, name, ip, boots)
}

const fileOf = (disk: string): string => join(directory, 'disks', `${disk}.qcow2`)

beforeAll(async () => {
  deployment = await openE2e()
  declare(root, data, scratch)
  ip = (await waitReady(deployment, name)).facts['ip'] ?? ''
  directory = instanceDirectory(deployment.lab, await nodeOfVm(deployment.lab, name), await uidOf(deployment.lab, name))
})

afterAll(() => removeManifests(deployment, [name]))

describe('a VM with three disks, two of them blank', () => {
  it('boots from the first one and sees all of them in the order of the manifest', async () => {
    expect(await guestDisks()).toEqual([`vda ${gibibyte}`, `vdb ${3 * gibibyte}`, `vdc ${2 * gibibyte}`])
  })

  it.each(['root', 'data', 'scratch'])('has the image lock on %s, so that no other process opens it', async (disk) => {
    const opened = await run(['qemu-img', 'info', fileOf(disk)])
    expect(opened.stderr).toMatch(/Failed to get shared "write" lock/)
  })

  it('keeps the file of a disk that leaves the manifest, and the disk returns with it', async () => {
    const { ino } = statSync(fileOf('data'))
    declare(root, scratch)
    await restarted(2)
    expect(await guestDisks()).toEqual([`vda ${gibibyte}`, `vdb ${2 * gibibyte}`])
    expect(readdirSync(join(directory, 'disks')).sort()).toEqual(['data.qcow2', 'root.qcow2', 'scratch.qcow2'])
    declare(root, data, scratch)
    await restarted(3)
    expect(await guestDisks()).toEqual([`vda ${gibibyte}`, `vdb ${3 * gibibyte}`, `vdc ${2 * gibibyte}`])
    expect(statSync(fileOf('data')).ino).toBe(ino)
    expect(existsSync(join(directory, 'work'))).toBe(false)
  })

  it('gets one more while it runs, and the guest sees it after a restart', async () => {
    const inodes = (): readonly number[] => ['root', 'data', 'scratch'].map((disk) => statSync(fileOf(disk)).ino)
    const [before, container] = [inodes(), (await containerOf(deployment.lab, name)).id]
    declare(root, data, scratch, { name: 'more', size: '4Gi' })
    const waiting = await waitForCondition(deployment, name, 'RestartRequired', (one) => one.status === 'True')
    expect(conditionOf(waiting, 'RestartRequired')?.message).toContain('spec.disks[3].name more added')
    expect([existsSync(fileOf('more')), inodes(), (await containerOf(deployment.lab, name)).id]).toEqual([true, before, container])
    await restarted(4)
    expect((await guestDisks()).at(-1)).toBe(`vdd ${4 * gibibyte}`)
  })

  it('cannot write to a disk that is read-only after a restart', async () => {
    declare(root, data, scratch, { name: 'more', size: '4Gi', readOnly: true })
    await restarted(5)
    const from = otherNode(deployment.lab, await nodeOfVm(deployment.lab, name))
    const page = await guestPage(deployment.lab, ip, from, '/read-only', 30_000)
    expect(page.split('\n').slice(0, 4)).toEqual(['vda 0', 'vdb 0', 'vdc 0', 'vdd 1'])
  })

  it('has a larger disk at once, and no smaller one', async () => {
    const more = { name: 'more', size: '4Gi', readOnly: true }
    const larger = { ...scratch, size: '5Gi' }
    declare(root, data, larger, more)
    await guestShows(deployment, { name, ip }, `vdc ${5 * gibibyte}`)
    expect(conditionOf(await deployment.vm(name), 'RestartRequired')?.status).toBe('False')
    declare(root, data, scratch, more)
    await waitForCondition(deployment, name, 'AssetsReady', (one) => one.reason === 'DiskResizeUnsupported')
    declare(root, data, larger, more)
    await waitForCondition(deployment, name, 'AssetsReady', (one) => one.status === 'True')
  })

  it('is not renamed in one edit', async () => {
    declare(root, data, { ...scratch, size: '5Gi' }, { name: 'renamed', size: '4Gi' })
    await waitForCondition(deployment, name, 'AssetsReady', (one) => one.reason === 'DiskRenameRefused')
    expect(existsSync(fileOf('renamed'))).toBe(false)
  })
})

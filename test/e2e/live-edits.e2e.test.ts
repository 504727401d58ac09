/** Every edit that QEMU takes, on one guest that writes to its disk meanwhile, and the same machine after a restart. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deployment } from '../lab/deployment.ts'
import { until } from '../lab/run.ts'
import {
  conditionOf,
  containerOf,
  guestPage,
  guestShows,
  instanceDirectory,
  manifest,
  nodeOfVm,
  offerDisc,
  openE2e,
  otherNode,
  removeManifests,
  uidOf,
  waitBooted,
  waitForCondition,
  waitReady,
} from './support.ts'

const name = 'live-edits'
const gibibyte = 1024 ** 3
const root = { name: 'root', size: '1Gi', image: { source: 'images/tiny.qcow2' } }
const lan = { name: 'lan', bridge: 'br0' }
const spare = { name: 'spare', bridge: 'br1' }

interface Parts {
  readonly data?: object
  readonly disc?: object
  readonly spare?: object
  readonly spec?: object
}

let deployment: Deployment
let ip: string
let container: string
const now: Parts = {}

/** Edits the manifest, on top of the edits before. */
function edit(parts: Parts): void {
  Object.assign(now, parts)
  const disks = [root, { name: 'data', size: '1Gi', ...now.data }, { name: 'tools', cdrom: now.disc ?? {} }]
  const document = JSON.parse(manifest(name, { disks, networks: [lan, { ...spare, ...now.spare }] })) as { spec: object }
  deployment.writeManifest(`${name}.yaml`, `${JSON.stringify({ ...document, spec: { ...document.spec, ...now.spec } })}\n`)
}

const shows = (start: string): Promise<string> => guestShows(deployment, { name, ip }, start)

async function page(path: string): Promise<string> {
  return guestPage(deployment.lab, ip, otherNode(deployment.lab, await nodeOfVm(deployment.lab, name)), path, 30_000)
}

/** Completed and failed writes. */
async function writes(): Promise<readonly [done: number, failed: number]> {
  const [done = 0, failed = 0] = (await page('/cgi-bin/writes')).split(' ').map(Number)
  return [done, failed]
}

async function livePart(): Promise<Record<string, unknown>> {
  const directory = instanceDirectory(deployment.lab, await nodeOfVm(deployment.lab, name), await uidOf(deployment.lab, name))
  return JSON.parse(readFileSync(join(directory, 'live.json'), 'utf8')) as Record<string, unknown>
}

/** The guest still runs in the same container, waits for no restart, and its writes go on. */
async function runsOn(): Promise<void> {
  const [before] = await writes()
  await until('more writes', 120_000, async () => ((await writes())[0] > before ? true : undefined), 500)
  expect((await writes())[1]).toBe(0)
  expect((await containerOf(deployment.lab, name)).id).toBe(container)
  expect(conditionOf(await deployment.vm(name), 'RestartRequired')?.status).toBe('False')
}

beforeAll(async () => {
  deployment = await openE2e()
  await offerDisc(deployment.lab, 'one.iso', 'ONE')
  await offerDisc(deployment.lab, 'two.iso', 'TWO')
  edit({})
  ip = (await waitReady(deployment, name)).facts['ip'] ?? ''
  container = (await containerOf(deployment.lab, name)).id
  await page('/cgi-bin/writes?start')
})

afterAll(() => removeManifests(deployment, [name]))

describe('a guest that writes to its disk', () => {
  it('sees a larger disk', async () => {
    edit({ data: { size: '2Gi' } })
    expect(await shows(`vdb ${2 * gibibyte}`)).toBeDefined()
    await runsOn()
  })

  it('loses the link of a NIC, and gets it back', async () => {
    expect(await shows('eth1 carrier=1')).toBeDefined()
    edit({ spare: { state: 'down' } })
    await shows('eth1 carrier=0')
    await runsOn()
    edit({ spare: {} })
    await shows('eth1 carrier=1')
    edit({ spare: { state: 'down' } })
    await shows('eth1 carrier=0')
  })

  it('gets a disc, another one, and none', async () => {
    for (const [disc, label] of [
      [{ path: 'isos/one.iso' }, ' ONE'],
      [{ path: 'isos/two.iso' }, ' TWO'],
      [{}, ''],
      [{ path: 'isos/two.iso' }, ' TWO'],
    ] as const) {
      edit({ disc })
      await until(
        `disc${label}`,
        120_000,
        async () => (new RegExp(`^sr0 \\d+${label} ?$`, 'm').test(await page('/cgi-bin/devices')) ? true : undefined),
        500,
      )
    }
    await runsOn()
  })

  it('gives memory back to the node', async () => {
    const before = Number((await shows('memory ')).split(/ +/)[1])
    edit({ spec: { memoryTarget: '144Mi' } })
    await until(
      'less memory',
      120_000,
      async () => (Number((await shows('memory ')).split(/ +/)[1]) < before - 32 * 1024 ? true : undefined),
      500,
    )
    await runsOn()
  })

  it('is limited in what it writes', async () => {
    edit({ data: { size: '2Gi', limits: { iops: 200, bandwidth: '20Mi' } } })
    await until('the limits', 60_000, async () => ((await livePart())['limits'] === undefined ? undefined : true), 300)
    expect((await livePart())['limits']).toEqual([{ disk: 'data', iops: 200, bytes: 20 * 1024 ** 2 }])
    await waitForCondition(deployment, name, 'AssetsReady', (one) => one.status === 'True' && !one.message.includes('live edits'))
    await runsOn()
  })

  it('is the same machine after a restart', async () => {
    await deployment.lab.mustDocker('n1', ['service', 'update', '--detach', '--force', `vm-${name}`])
    await waitBooted(deployment, name, ip, 2)
    expect((await containerOf(deployment.lab, name)).id).not.toBe(container)
    await shows(`vdb ${2 * gibibyte}`)
    await shows('eth1 carrier=0')
    await until('the disc', 60_000, async () => ((await page('/cgi-bin/devices')).includes(' TWO') ? true : undefined), 500)
    await until('the balloon', 60_000, async () => (Number((await shows('memory ')).split(/ +/)[1]) < 120 * 1024 ? true : undefined), 500)
  })
})

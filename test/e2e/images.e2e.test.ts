/** Images as an operator puts them there: raw files, and servers that may or may not be asked. */
import { copyFileSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deployment } from '../lab/deployment.ts'
import { must } from '../lab/run.ts'
import { buildGuest } from '../lab/guests/build-guest.ts'
import { identity as identitySchema } from '../../src/api/wire/identity.ts'
import { conditionOf, containerOf, manifest, openE2e, removeManifests, waitForCondition, waitReady } from './support.ts'

/** The controller's metrics, a closed port, the agent's own port, a host on the LAN, and a name of the control overlay. */
const inside = [
  { name: 'inside-1', host: '10.77.0.1', port: 9470 },
  { name: 'inside-2', host: '10.77.0.1', port: 9 },
  { name: 'inside-3', host: '127.0.0.1', port: 9472 },
  { name: 'inside-4', host: '192.168.50.11', port: 22 },
  { name: 'inside-5', host: 'tasks.controller', port: 9471 },
]
const names = ['raw-file', 'raw-url', ...inside.map(({ name }) => name)]
let deployment: Deployment
let raw: string

beforeAll(async () => {
  deployment = await openE2e()
  raw = join(deployment.lab.www, 'tiny.raw')
  await must(['qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', (await buildGuest('tiny')).path, raw])
})

afterAll(async () => {
  await removeManifests(deployment, names)
  for (const node of deployment.lab.nodes) rmSync(join(node.stateRoot, 'images/tiny.raw'), { force: true })
  rmSync(raw, { force: true })
})

async function refusal(name: string, source: string): Promise<string> {
  deployment.writeManifest(`${name}.yaml`, manifest(name, { image: source, sha256: 'a'.repeat(64) }))
  const vm = await waitForCondition(deployment, name, 'AssetsReady', (one) => one.reason === 'ImageHostRefused')
  return conditionOf(vm, 'AssetsReady')?.message ?? ''
}

describe('a guest boots from a raw image', () => {
  it('that was copied into images/, sparse, and keeps its holes in the store', async () => {
    for (const node of deployment.lab.nodes) copyFileSync(raw, join(node.stateRoot, 'images/tiny.raw'))
    deployment.writeManifest('raw-file.yaml', manifest('raw-file', { image: 'images/tiny.raw' }))
    await waitReady(deployment, 'raw-file')
    const { stateRoot } = deployment.lab.node((await containerOf(deployment.lab, 'raw-file')).node)
    const identity = readdirSync(join(stateRoot, 'instances'))
      .map((uid) => identitySchema.parse(JSON.parse(readFileSync(join(stateRoot, 'instances', uid, 'identity.json'), 'utf8'))))
      .find((one) => one.vm === 'raw-file')
    const [disk] = identity?.disks ?? []
    expect(disk?.imageFormat).toBe('raw')
    const stored = statSync(join(stateRoot, 'store', disk?.imageSha256 ?? ''))
    expect(stored.size).toBe(statSync(raw).size)
    expect(stored.blocks * 512).toBeLessThan(stored.size)
  })

  it('that comes from a mirror which the operator allowed', async () => {
    const [sha256] = (await must(['sha256sum', raw])).split(' ')
    const image = `http://${deployment.lab.wwwAddress}/tiny.raw`
    deployment.writeManifest('raw-url.yaml', manifest('raw-url', { image, ...(sha256 === undefined ? {} : { sha256 }) }))
    await waitReady(deployment, 'raw-url')
  })
})

describe('an image is not requested', () => {
  it('from the cluster itself, and an open port looks like a closed one', async () => {
    const said = await Promise.all(
      inside.map(async ({ name, host, port }) => {
        const message = await refusal(name, `http://${host}:${port}/x`)
        return message
          .replace(/^n\d: /, '')
          .replaceAll(host, 'HOST')
          .replaceAll(`:${port}`, ':PORT')
      }),
    )
    expect(new Set(said).size, said.join('\n')).toBe(1)
  })
})

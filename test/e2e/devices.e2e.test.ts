/** CD-ROM drives, VNC and the watchdog, as guest and node see them. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deployment } from '../lab/deployment.ts'
import {
  guestPage,
  instanceDirectory,
  manifest,
  nodeOfVm,
  offerDisc,
  openE2e,
  otherNode,
  removeManifests,
  uidOf,
  waitForCondition,
  waitReady,
} from './support.ts'

const name = 'devices'
const root = { name: 'root', size: '1Gi', image: { source: 'images/tiny.qcow2' } }
let deployment: Deployment
let ip: string
let directory: string

function declare(...cdroms: readonly object[]): void {
  const document = JSON.parse(manifest(name, { disks: [...cdroms, root] })) as { spec: object }
  const spec = { ...document.spec, console: { vnc: true }, watchdog: { action: 'reset' } }
  deployment.writeManifest(`${name}.yaml`, `${JSON.stringify({ ...document, spec })}\n`)
}

async function guestDevices(): Promise<readonly string[]> {
  const from = otherNode(deployment.lab, await nodeOfVm(deployment.lab, name))
  return (await guestPage(deployment.lab, ip, from, '/cgi-bin/devices', 30_000)).split('\n')
}

const drives = async (): Promise<readonly string[]> =>
  (await guestDevices()).flatMap((line) => (line.startsWith('sr') ? [line.replace(/ \d+ ?/, ' ').trim()] : []))

beforeAll(async () => {
  deployment = await openE2e()
  await offerDisc(deployment.lab, 'first.iso', 'FIRST')
  declare({ name: 'tools', cdrom: { path: 'isos/first.iso' } }, { name: 'empty', cdrom: {} })
  ip = (await waitReady(deployment, name)).facts['ip'] ?? ''
  directory = instanceDirectory(deployment.lab, await nodeOfVm(deployment.lab, name), await uidOf(deployment.lab, name))
})

afterAll(() => removeManifests(deployment, [name]))

describe('a VM with two CD-ROM drives, a display and a watchdog', () => {
  it('boots from its disk although drives come first, and reads the disc', async () => {
    expect(await drives()).toEqual(['sr0 FIRST', 'sr1'])
  })

  it('has the disc as a link to the copy of the agent, which a runner cannot write', () => {
    const discs = readdirSync(join(directory, 'isos'))
    expect(discs).toHaveLength(1)
    const { mode, nlink } = statSync(join(directory, 'isos', discs[0] ?? ''))
    expect([(mode & 0o777).toString(8), nlink]).toEqual(['440', 2])
  })

  it('serves VNC on a UNIX socket, which needs no password', async () => {
    const greeting = await new Promise<string>((resolve, reject) => {
      const socket = connect(join(directory, 'run/vnc.sock'))
      socket.once('data', (data) => (socket.destroy(), resolve(data.toString())))
      socket.once('error', reject)
    })
    expect(greeting).toMatch(/^RFB 003\./)
  })

  it('waits for a disc that its node does not have', async () => {
    declare({ name: 'tools', cdrom: { path: 'isos/missing.iso' } }, { name: 'empty', cdrom: {} })
    const { conditions } = await waitForCondition(deployment, name, 'AssetsReady', (one) => one.reason === 'ImageMissing')
    expect(conditions.find(({ type }) => type === 'AssetsReady')?.message).toContain('CD-ROM drive tools: isos/missing.iso is missing')
    expect(await drives()).toEqual(['sr0 FIRST', 'sr1'])
    expect(existsSync(join(directory, 'disks/tools.qcow2'))).toBe(false)
  })
})

import { afterAll, beforeAll, expect, it } from 'vitest'
import { manifest, openE2e, removeManifests, reservedMac, waitReady } from '../e2e/support.ts'
import type { Deployment } from '../lab/deployment.ts'
import { until } from '../lab/run.ts'
import { type SshGuest, sshGuest } from './ssh-guest.ts'

const name = 'carrier'
const address = '192.168.50.63'
const bytes = 100_000_000
let deployment: Deployment
let guest: SshGuest

beforeAll(async () => {
  deployment = await openE2e()
  guest = await sshGuest(deployment)
})

afterAll(async () => {
  await removeManifests(deployment, [name])
  guest.remove()
})

it('100 MB reach a Debian guest unchanged over macvtap and over a bridge, and come back unchanged', async () => {
  const { source: image, sha256 } = guest.image
  await deployment.lab.reserve(reservedMac(name, 'wan'), address)
  const networks = [
    { name: 'wan', direct: { device: 'eth1', mode: 'bridge' } },
    { name: 'dmz', bridge: 'br1' },
  ]
  const machine = { memory: '1Gi', size: '4Gi', image, sha256, sshAuthorizedKeys: [guest.publicKey], networks }
  const document = JSON.parse(manifest(name, machine)) as { spec: { readiness?: object } }
  // The agent has no address on eth1 to probe TCP from.
  delete document.spec.readiness
  deployment.writeManifest(`${name}.yaml`, JSON.stringify(document))
  expect((await waitReady(deployment, name, 280_000)).facts['ip']).toBe(address)
  expect(await guest.said(name, address, 'ip -brief -4 address')).toMatch(/^enp0s2 +UP +192\.168\.50\.63\/24/m)
  const onDmz = await until('the address on the bridge', 60_000, async () => (await deployment.vm(name))?.nics?.[1]?.address)
  for (const one of [address, onDmz]) {
    const sums = await guest.carried(name, one, bytes)
    expect(sums).toHaveLength(3)
    expect(new Set(sums).size).toBe(1)
  }
})

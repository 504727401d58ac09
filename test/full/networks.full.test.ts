import { afterAll, beforeAll, expect, it } from 'vitest'
import { manifest, openE2e, removeManifests, reservedMac, waitReady } from '../e2e/support.ts'
import type { Deployment } from '../lab/deployment.ts'
import { type SshGuest, sshGuest } from './ssh-guest.ts'

const name = 'nics'
const address = '192.168.50.61'
let deployment: Deployment
let guest: SshGuest

beforeAll(async () => {
  deployment = await openE2e()
  guest = await sshGuest(deployment)
  await deployment.lab.reserve(reservedMac(name), address)
})

afterAll(async () => {
  await removeManifests(deployment, [name])
  guest.remove()
})

it('a Debian guest with two NICs names them after their PCI slots, and cloud-init has DHCP on both', async () => {
  const networks = [
    { name: 'lan', bridge: 'br0' },
    { name: 'dmz', bridge: 'br1' },
  ]
  const { source: image, sha256 } = guest.image
  const machine = { memory: '1Gi', size: '4Gi', image, sha256, sshAuthorizedKeys: [guest.publicKey], tcp: 22 }
  deployment.writeManifest(`${name}.yaml`, manifest(name, { ...machine, networks }))
  expect((await waitReady(deployment, name, 280_000)).facts['ip']).toBe(address)
  const addresses = await guest.said(name, address, 'ip -brief -4 address; ip route show default')
  expect(addresses).toMatch(/^enp0s2 +UP +192\.168\.50\.61\/24/m)
  expect(addresses).toMatch(/^enp0s3 +UP +192\.168\.51\.1\d\d\/24/m)
  expect(addresses).toMatch(/^default via 192\.168\.50\.1 dev enp0s2 .*metric 100/m)
  expect(addresses).toMatch(/^default via 192\.168\.51\.1 dev enp0s3 .*metric 200/m)
})

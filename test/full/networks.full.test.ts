import { afterAll, beforeAll, expect, it } from 'vitest'
import { manifest, openE2e, removeManifests, reservedMac, waitReady } from '../e2e/support.ts'
import type { Deployment } from '../lab/deployment.ts'
import { type SshGuest, sshGuest } from './ssh-guest.ts'

let deployment: Deployment
let guest: SshGuest

beforeAll(async () => {
  deployment = await openE2e()
  guest = await sshGuest(deployment)
})

afterAll(async () => {
  await removeManifests(deployment, ['nics'])
  guest.remove()
})

async function ready(name: string, address: string, networks: readonly object[]): Promise<string> {
  const { source: image, sha256 } = guest.image
  const machine = { memory: '1Gi', size: '4Gi', image, sha256, sshAuthorizedKeys: [guest.publicKey], tcp: 22 }
  deployment.writeManifest(`${name}.yaml`, manifest(name, { ...machine, networks }))
  expect((await waitReady(deployment, name, 280_000)).facts['ip']).toBe(address)
  return guest.said(
    name,
    address,
    'ip -brief -4 address; ip route show default; cat /sys/class/net/enp0s*/mtu; cat /etc/systemd/network/*.network',
  )
}

it('a Debian guest with a static address is reached without a lease, and has gateway, DNS server and MTU of the manifest', async () => {
  const address = '192.168.50.61'
  const ipv4 = { address: `${address}/24`, gateway: '192.168.50.1', nameservers: ['192.168.50.1'] }
  const said = await ready('fixed', address, [{ name: 'lan', bridge: 'br0', mtu: 1400, ipv4 }])
  expect(said).toMatch(/^enp0s2 +UP +192\.168\.50\.61\/24 *$/m)
  expect(said).toMatch(/^default via 192\.168\.50\.1 dev enp0s2/m)
  expect(said).toMatch(/^1400$/m)
  expect(said).toMatch(/^DNS=192\.168\.50\.1$/m)
  expect(deployment.lab.leases().filter(({ mac }) => mac === reservedMac('fixed'))).toEqual([])
  await removeManifests(deployment, ['fixed'])
})

it('a Debian guest with two NICs names them after their PCI slots, and cloud-init has DHCP on both', async () => {
  const address = '192.168.50.62'
  await deployment.lab.reserve(reservedMac('nics'), address)
  const said = await ready('nics', address, [
    { name: 'lan', bridge: 'br0' },
    { name: 'dmz', bridge: 'br1' },
  ])
  expect(said).toMatch(/^enp0s2 +UP +192\.168\.50\.62\/24/m)
  expect(said).toMatch(/^enp0s3 +UP +192\.168\.51\.1\d\d\/24/m)
  expect(said).toMatch(/^default via 192\.168\.50\.1 dev enp0s2 .*metric 100/m)
  expect(said).toMatch(/^default via 192\.168\.51\.1 dev enp0s3 .*metric 200/m)
})

import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { emptyUserData, metaData, networkConfig } from '../../runner/seed.ts'
import { aMac } from '../support/branded.ts'

const cloudInit = { instanceId: '12:34:56', hostname: 'web-1', sshAuthorizedKeys: [] as string[], hasUserData: false }

test('a YAML 1.1 reader takes a text that looks like a number for the text it is', () => {
  expect(parse(metaData(cloudInit), { version: '1.1' })).toEqual({ 'instance-id': '12:34:56', 'local-hostname': 'web-1' })
})

test('keys travel in the metadata, with whatever quotes they hold', () => {
  const keys = ['ssh-ed25519 AAAA "me": {x}', "ssh-rsa BBBB it's #1"]
  expect(parse(metaData({ ...cloudInit, sshAuthorizedKeys: keys }), { version: '1.1' })).toMatchObject({ 'public-keys': keys })
})

test('a VM without user data gets an empty cloud-config', () => {
  expect(emptyUserData.startsWith('#cloud-config\n')).toBe(true)
  expect(parse(emptyUserData)).toEqual({})
})

const nics = [
  { name: 'lan', mac: aMac('52:54:00:12:34:56'), slot: 3 },
  { name: 'dmz', mac: aMac('52:54:00:00:00:07'), slot: 2 },
]

test('a guest with several NICs uses DHCP on each, known by its MAC, which a YAML 1.1 reader takes for a text', () => {
  expect(parse(networkConfig(nics, {}) ?? '', { version: '1.1' })).toEqual({
    version: 2,
    ethernets: {
      enp0s3: { match: { macaddress: '52:54:00:12:34:56' }, dhcp4: true, 'dhcp4-overrides': { 'route-metric': 100 } },
      enp0s2: { match: { macaddress: '52:54:00:00:00:07' }, dhcp4: true, 'dhcp4-overrides': { 'route-metric': 200 }, optional: true },
    },
  })
})

test('a guest with one NIC gets the seed of release 0.1, without a network configuration', () => {
  expect(networkConfig(nics.slice(0, 1), {})).toBeUndefined()
})

test('a NIC with a static address uses no DHCP, also if it is the only one', () => {
  const fixed = { name: 'lan', address: '192.168.50.42/24', gateway: '192.168.50.1', nameservers: ['192.168.50.1', '9.9.9.9'] }
  const lan = {
    match: { macaddress: '52:54:00:12:34:56' },
    addresses: ['192.168.50.42/24'],
    routes: [{ to: '0.0.0.0/0', via: '192.168.50.1', metric: 100 }],
    nameservers: { addresses: ['192.168.50.1', '9.9.9.9'] },
  }
  const parsed = (count: number, networks: (typeof fixed)[]): unknown =>
    parse(networkConfig(nics.slice(0, count), { networks }) ?? '', { version: '1.1' })
  expect(parsed(1, [fixed])).toEqual({ version: 2, ethernets: { enp0s3: lan } })
  expect(parsed(2, [fixed])).toMatchObject({ ethernets: { enp0s3: lan, enp0s2: { dhcp4: true } } })
})

test('a NIC without gateway and nameservers gets neither', () => {
  const fixed = { name: 'lan', address: '10.9.0.5/24', nameservers: [] }
  expect(JSON.parse(networkConfig(nics.slice(0, 1), { networks: [fixed] }) ?? '')).toEqual({
    version: 2,
    ethernets: { enp0s3: { match: { macaddress: '52:54:00:12:34:56' }, addresses: ['10.9.0.5/24'] } },
  })
})

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { manifest, openE2e, removeManifests, reservedMac, waitReady } from '../e2e/support.ts'
import type { Deployment } from '../lab/deployment.ts'
import { type SshGuest, sshGuest } from './ssh-guest.ts'

const name = 'natted'
const udpPort = 18_053
const megabytes = 100
let deployment: Deployment
let guest: SshGuest
let ssh = ''

/** The interface gets its name from the manifest, so the guest shows which configuration it has. */
const networkData = [
  'version: 2',
  'ethernets:',
  '  nat0:',
  `    match: {macaddress: "${reservedMac(name, 'mgmt')}"}`,
  '    set-name: nat0',
  '    dhcp4: true',
  '',
].join('\n')

beforeAll(async () => {
  deployment = await openE2e()
  guest = await sshGuest(deployment)
  const user = { ssh: 'auto', ports: [{ name: 'echo', guest: 5_353, published: udpPort, protocol: 'udp' }] }
  const { source: image, sha256 } = guest.image
  const spec = {
    cpu: { cores: 1 },
    memory: '1Gi',
    disks: [{ name: 'root', size: '4Gi', image: { source: image, sha256 } }],
    networks: [{ name: 'mgmt', user }],
    cloudInit: { networkData, sshAuthorizedKeys: [guest.publicKey] },
    readiness: { tcp: 22 },
  }
  const document = { apiVersion: 'swarmvirt.dev/v1alpha1', kind: 'VirtualMachine', metadata: { name }, spec }
  deployment.writeManifest(`${name}.yaml`, JSON.stringify(document))
  ssh = (await waitReady(deployment, name, 600_000)).facts['ssh'] ?? ''
})

afterAll(async () => {
  await removeManifests(deployment, [name])
  guest.remove()
})

describe('a Debian guest behind NAT', () => {
  it('is reached by SSH on its port of the node, has the network configuration of the manifest, and resolves names', async () => {
    const said = await guest.said(name, ssh, 'ip -brief -4 address show nat0; ip route show default; cat /etc/resolv.conf')
    expect(said).toMatch(/^nat0 +UP +10\.0\.2\.15\/24/m)
    expect(said).toMatch(/^default via 10\.0\.2\.2 dev nat0/m)
  })

  it(`carries ${megabytes} MB in both directions unchanged`, async () => {
    const sums = await guest.carried(name, ssh, megabytes * 1_000_000)
    expect(sums).toHaveLength(3)
    expect(new Set(sums).size).toBe(1)
  })

  it('answers datagrams on a published UDP port', async () => {
    const server = `import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 5353)); [s.sendto(b"echo " + m, a) for m, a in iter(lambda: s.recvfrom(2048), None)]`
    await guest.said(name, ssh, `nohup python3 -c '${server}' >/dev/null 2>&1 & sleep 2`)
    const [host = ''] = ssh.split(':')
    const program = `const socket = require('node:dgram').createSocket('udp4')
      socket.on('message', (message) => { console.log(String(message)); process.exit() })
      setInterval(() => socket.send('hello', ${udpPort}, '${host}'), 500)
      setTimeout(() => process.exit(1), 30000)`
    const answer = await deployment.lab.exec('mgmt', [process.execPath, '-e', program])
    expect(answer.stdout.trim()).toBe('echo hello')
  })
})

describe('twenty VMs behind NAT', () => {
  const names = Array.from({ length: 20 }, (_, index) => `nat-${index}`)

  it('have twenty SSH ports, and each is reached from outside the Swarm', { timeout: 1_800_000 }, async () => {
    for (const [index, one] of names.entries()) {
      const user = { ssh: 'auto', ports: [{ name: 'web', guest: 80, published: 18_100 + index }] }
      deployment.writeManifest(`${one}.yaml`, manifest(one, { memory: '128Mi', networks: [{ name: 'mgmt', user }] }))
    }
    const seen = new Set<string>()
    for (const [index, one] of names.entries()) {
      const { facts } = await waitReady(deployment, one, 900_000)
      const [host = '', port = ''] = (facts['ssh'] ?? '').split(':')
      seen.add(port)
      const page = await deployment.lab.httpGet('mgmt', `http://${host}:${18_100 + index}/`, { timeoutMs: 60_000 })
      expect(page.body.trim()).toBe(one)
      const connect = `require('node:net').connect(${port}, '${host}').on('connect', () => process.exit()).on('error', () => process.exit(1))`
      expect((await deployment.lab.exec('mgmt', [process.execPath, '-e', connect])).code).toBe(0)
    }
    expect(seen.size).toBe(names.length)
    await removeManifests(deployment, names)
  })
})

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deployment } from '../lab/deployment.ts'
import { conditionOf, containerOf, manifest, openE2e, removeManifests, waitForCondition, waitReady } from './support.ts'

const name = 'behind-nat'
const published = 18_080
let deployment: Deployment
let address = ''

beforeAll(async () => {
  deployment = await openE2e()
  const user = {
    ssh: 'auto',
    ports: [
      { name: 'web', guest: 80, published },
      { name: 'echo', guest: 7, published: 18_007, protocol: 'udp' },
    ],
  }
  deployment.writeManifest(`${name}.yaml`, manifest(name, { networks: [{ name: 'mgmt', user }] }))
  const vm = await waitReady(deployment, name)
  address = deployment.lab.nodes.find((one) => one.name === vm.facts['node'])?.managementIp ?? ''
})

afterAll(async () => {
  await removeManifests(deployment, [name])
})

async function page(path: string): Promise<string> {
  return (await deployment.lab.httpGet('mgmt', `http://${address}:${published}${path}`, { timeoutMs: 60_000 })).body.trim()
}

/** The ports of a machine that the guest can connect to. */
async function reachedByGuest(machine: string, ...ports: readonly number[]): Promise<string[]> {
  return (await page(`/cgi-bin/reach?${[machine, ...ports].join('/')}`)).split('\n').filter(Boolean)
}

/** The same from the task of the VM. */
async function reachedByTask(machine: string, ...ports: readonly number[]): Promise<string> {
  const { node, id } = await containerOf(deployment.lab, name)
  const program = `const net = require('node:net'), [host, ...ports] = process.argv.slice(1)
    for (const port of ports) {
      const socket = net.connect({ host, port }).on('connect', () => { console.log(port); socket.destroy() }).on('error', () => {})
      socket.setTimeout(2000, () => socket.destroy())
    }`
  return deployment.lab.mustDocker(node, ['exec', id, 'node', '-e', program, machine, ...ports.map(String)])
}

describe('a VM behind NAT', () => {
  it('is reached from outside the Swarm, and says what was proven', async () => {
    expect(await page('/')).toBe(name)
    const vm = await deployment.vm(name)
    expect(vm?.facts['ssh']).toMatch(new RegExp(`^${address}:10\\d\\d\\d$`))
    expect(
      ['LinkAttached', 'AddressLearned', 'Reachable', 'GuestReady'].map((type) => conditionOf(vm, type as 'Reachable')?.reason),
    ).toEqual(['BehindNat', 'BehindNat', 'PortAnswered', 'Answered'])
  })

  it('is reached by the task of another VM under its name', async () => {
    const other = 'neighbour'
    deployment.writeManifest(`${other}.yaml`, manifest(other))
    await waitReady(deployment, other)
    const { node, id } = await containerOf(deployment.lab, other)
    const program = `fetch('http://${name}/').then((answer) => answer.text()).then(console.log)`
    const said = await deployment.lab.mustDocker(node, ['exec', id, 'node', '-e', program])
    expect(said.trim()).toBe(name)
    await removeManifests(deployment, [other])
  })

  it('reaches other machines, and no node, control port or metadata address', async () => {
    const { lab } = deployment
    const server = lab.wwwAddress
    const [host = '', port = '80'] = server.split(':')
    expect(await reachedByGuest(host, Number(port))).toEqual([port])
    expect(await reachedByTask(host, Number(port))).toContain(port)
    const gateways = ['172.17.0.1', '172.18.0.1', '172.19.0.1']
    const nodes = lab.nodes.flatMap(({ managementIp, bridgeIp, dmzIp }) => [managementIp, bridgeIp, dmzIp])
    const controls = ['10.200.0.2', '10.200.0.5']
    const ports = [2377, 7946, 9471, published]
    const machines = [...nodes, ...gateways, ...controls, '169.254.169.254']
    const byGuest: string[][] = []
    // One after the other, since the guest starts a process for each port.
    for (const machine of machines) byGuest.push(await reachedByGuest(machine, ...ports))
    expect(Object.fromEntries(machines.map((machine, index) => [machine, byGuest[index]]))).toEqual(
      Object.fromEntries(machines.map((machine) => [machine, []])),
    )
    // A port that Swarm publishes on the node: the packet gets another destination before any rule for the node's own addresses.
    const dnat = (action: string): readonly string[] => [
      'iptables',
      '-t',
      'nat',
      action,
      'PREROUTING',
      '-d',
      address,
      '-p',
      'tcp',
      '--dport',
      '18099',
      '-j',
      'DNAT',
      '--to',
      server,
    ]
    const own = lab.nodes.find((one) => one.managementIp === address)?.name ?? 'n1'
    expect((await lab.exec(own, dnat('-I'))).code).toBe(0)
    expect(await reachedByTask(address, 18_099)).toBe('')
    expect((await lab.exec(own, dnat('-D'))).code).toBe(0)
    const byTask = await Promise.all(machines.map((machine) => reachedByTask(machine, ...ports)))
    expect(byTask.join('').trim()).toBe('')
  })
})

describe('the way back', () => {
  const moved = 'moved'
  const lan = { name: 'lan', bridge: 'br0', fallback: 'user' }
  /** The setting of the controller, as an operator deploys it. */
  async function setMode(mode: string): Promise<void> {
    await deployment.lab.mustDocker('n1', [
      'service',
      'update',
      '--detach=false',
      '--env-add',
      `SWARMVIRT_NETWORK_MODE=${mode}`,
      'swarmvirt_controller',
    ])
  }

  it('a VM goes behind NAT with the setting of the cluster, and returns to its bridge with its MAC and address', async () => {
    deployment.writeManifest(`${moved}.yaml`, manifest(moved, { networks: [lan], updatePolicy: 'Restart' }))
    const before = await waitReady(deployment, moved, 280_000)
    await setMode('user')
    const behind = await waitForCondition(deployment, moved, 'Reachable', ({ reason }) => reason === 'PortAnswered', 280_000)
    expect(behind.facts['mac']).toBe(before.facts['mac'])
    expect(conditionOf(behind, 'NetworkFallback')?.reason).toBe('UserModeForced')
    await waitReady(deployment, moved, 280_000)
    await setMode('manifest')
    const after = await waitForCondition(deployment, moved, 'Reachable', ({ reason }) => reason === 'Answered', 280_000)
    expect([after.facts['mac'], after.facts['ip']]).toEqual([before.facts['mac'], before.facts['ip']])
    expect(conditionOf(after, 'NetworkFallback')).toBeUndefined()
    await removeManifests(deployment, [moved])
  })

  it('a network with fallback: user whose bridge no node has is behind NAT from the start', async () => {
    const fallen = 'fallen'
    deployment.writeManifest(`${fallen}.yaml`, manifest(fallen, { networks: [{ ...lan, bridge: 'br9' }] }))
    const vm = await waitReady(deployment, fallen, 280_000)
    expect(conditionOf(vm, 'NetworkFallback')).toMatchObject({ status: 'True', reason: 'BridgeMissing' })
    expect(vm.facts['ssh']).toMatch(/:10\d\d\d$/)
    await removeManifests(deployment, [fallen])
  })
})

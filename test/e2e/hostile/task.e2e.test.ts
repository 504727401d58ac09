import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mostDiskBytes } from '../../../src/api/disk-bytes.ts'
import type { NodeView } from '../../../src/api/wire/controller-api.ts'
import type { Deployment } from '../../lab/deployment.ts'
import type { Lab, NodeName } from '../../lab/lab.ts'
import { run, until } from '../../lab/run.ts'
import { isWhole } from '../../whole.ts'
import { containerOf, manifest, openE2e, otherNode, removeManifests, type RunnerContainer, waitReady } from '../support.ts'

/** The environment of an attacker who escaped from QEMU into the task of its VM. */
const names = ['escaped', 'neighbour'] as const
let deployment: Deployment
let escaped: RunnerContainer
let neighbour: RunnerContainer

beforeAll(async () => {
  deployment = await openE2e()
  // Memory that its processes need, which count as the task's.
  for (const name of names) deployment.writeManifest(`${name}.yaml`, manifest(name, { memory: '512Mi' }))
  for (const name of names) await waitReady(deployment, name)
  escaped = await containerOf(deployment.lab, 'escaped')
  neighbour = await containerOf(deployment.lab, 'neighbour')
  // Agents measure once a minute: what they are to report is there early.
  expect((await inside('fallocate', '--length', '1300MiB', '/vm/run/filler')).code).toBe(0)
})

afterAll(async () => {
  await removeManifests(deployment, names)
})

function inside(...argv: readonly string[]): ReturnType<Lab['docker']> {
  return deployment.lab.docker(escaped.node, ['exec', escaped.id, ...argv])
}

async function inTask(program: string, ...args: readonly string[]): Promise<string> {
  const done = await deployment.lab.docker(escaped.node, ['exec', escaped.id, 'node', '-e', program, ...args])
  expect([done.code, done.stderr]).toEqual([0, ''])
  return done.stdout.trim()
}

/** Tries every TCP port of the addresses, a thousand at a time, and prints those that took the connection or said nothing. */
const sweep = `
  const net = require('node:net')
  const attempt = (host, port) => new Promise((resolve) => {
    const socket = net.connect({ host, port })
    const end = (word) => { clearTimeout(timer); socket.destroy(); resolve(word) }
    const timer = setTimeout(() => end('silent'), 2000)
    socket.on('connect', () => end('open')).on('error', (error) => end(error.code))
  })
  const main = async () => {
    const [first, last, ...hosts] = process.argv.slice(1)
    const found = []
    for (const host of hosts) for (let port = Number(first); port <= Number(last); port += 1000) {
      const ports = Array.from({ length: Math.min(1000, Number(last) - port + 1) }, (_, n) => port + n)
      const words = await Promise.all(ports.map((one) => attempt(host, one)))
      words.forEach((word, n) => { if (word === 'open' || word === 'silent') found.push(host + ':' + ports[n] + ' ' + word) })
    }
    console.log(found.join('\\n'))
  }
  void main()`

/** In the task's network alone: the task's memory is too little for thousands of sockets. */
async function sweepFromTask(...args: readonly string[]): Promise<string> {
  const done = await run(['nsenter', '-t', String(escaped.pid), '-n', process.execPath, '-e', sweep, ...args], { timeoutMs: 280_000 })
  expect([done.code, done.stderr]).toEqual([0, ''])
  return done.stdout.trim()
}

interface Inspected {
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>> }
  readonly HostConfig: { readonly Dns: readonly string[] }
  readonly LogPath: string
}

async function inspect({ node, id }: RunnerContainer): Promise<Inspected> {
  const [one] = JSON.parse(await deployment.lab.mustDocker(node, ['inspect', id])) as Inspected[]
  if (one === undefined) throw new Error(`no container ${id}`)
  return one
}

/** Addresses of the controller and of the agents on the control overlay, as the nodes know them. */
async function controlAddresses(): Promise<readonly string[]> {
  const perNode = await Promise.all(
    deployment.lab.nodes.map(async ({ name }) => {
      const ids = await deployment.lab.mustDocker(name, ['ps', '--quiet', '--filter', 'label=com.docker.stack.namespace=swarmvirt'])
      const list = ids.split('\n').filter((id) => id !== '')
      const found = await Promise.all(list.map((id) => inspect({ node: name, id, pid: 0 })))
      return found.flatMap(({ NetworkSettings }) => Object.values(NetworkSettings.Networks).map((one) => one.IPAddress))
    }),
  )
  return perNode.flat().filter((address) => address !== '')
}

async function bridgeAddress(node: NodeName, bridge: string): Promise<string> {
  const shown = await deployment.lab.exec(node, ['ip', '-4', '-o', 'address', 'show', bridge])
  const address = /inet ([\d.]+)\//.exec(shown.stdout)?.[1]
  if (address === undefined) throw new Error(`${bridge} of ${node} has no address`)
  return address
}

describe('the network of a VM task', () => {
  it('has the guests’ overlay alone: no way through the node’s own bridge, and no server of names', async () => {
    const { NetworkSettings, HostConfig } = await inspect(escaped)
    expect(Object.keys(NetworkSettings.Networks)).toEqual(['swarmvirt-guests'])
    expect(HostConfig.Dns).toEqual(['127.0.0.1'])
    const program = `
      const fs = require('node:fs')
      console.log(JSON.stringify({
        interfaces: Object.keys(require('node:os').networkInterfaces()).sort(),
        routes: fs.readFileSync('/proc/net/route', 'utf8').trim().split('\\n').slice(1).map((line) => line.split('\\t').slice(0, 3)),
      }))`
    const { interfaces, routes } = JSON.parse(await inTask(program)) as { interfaces: string[]; routes: string[][] }
    expect(interfaces).toEqual(['eth0', 'lo'])
    // One route, to its own subnet, and no gateway.
    expect(routes.map(([dev, , gateway]) => [dev, gateway])).toEqual([['eth0', '00000000']])
  })

  it('reaches no TCP port of its own node, by any of its addresses, nor of its neighbour or the overlay’s gateway', async () => {
    const own = deployment.lab.node(escaped.node)
    const addresses = [
      own.managementIp,
      await bridgeAddress(escaped.node, 'br0'),
      await bridgeAddress(escaped.node, 'docker_gwbridge'),
      (await inspect(neighbour)).NetworkSettings.Networks['swarmvirt-guests']?.IPAddress ?? '',
      '10.201.0.1',
    ]
    expect(addresses).not.toContain('')
    expect(await sweepFromTask('1', isWhole ? '65535' : '10000', ...addresses)).toBe('')
  }, 300_000)

  it('reaches no well-known port of other nodes, of the controller or of an agent', async () => {
    const others = deployment.lab.nodes.filter(({ name }) => name !== escaped.node)
    const bridges = await Promise.all(others.map(({ name }) => bridgeAddress(name, 'br0')))
    const addresses = [...others.map((node) => node.managementIp), ...bridges, ...(await controlAddresses())]
    expect(addresses.length).toBeGreaterThan(7)
    for (const port of ['22', '53', '2375', '2376', '2377', '4789', '7946', '9470', '9471', '9472'])
      expect([port, await sweepFromTask(port, port, ...addresses)]).toEqual([port, ''])
  })

  it('sends no datagram to a node', async () => {
    const program = `
      const socket = require('node:dgram').createSocket('udp4')
      const words = []
      const targets = process.argv.slice(1)
      for (const target of targets) for (const port of [53, 4789, 7946]) socket.send('x', port, target, (error) => {
        words.push(error === null ? target + ':' + port + ' sent' : error.code)
        if (words.length === targets.length * 3) { console.log([...new Set(words)].join(' ')); socket.close() }
      })`
    const targets = await Promise.all(deployment.lab.nodes.map(async (node) => [node.managementIp, await bridgeAddress(node.name, 'br0')]))
    expect(await inTask(program, ...targets.flat())).toBe('ENETUNREACH')
  })
})

describe('callers that say nothing', () => {
  it.each([9470, 9471])('take no connection of port %d from others', async (port) => {
    const { lab } = deployment
    const host = lab.node('n1').managementIp
    const program = `
      const net = require('node:net')
      let open = 0
      const call = () => net.connect(${port}, '${host}').on('connect', () => { open += 1; if (open === 300) console.log('HELD') })
        .on('error', () => undefined).on('close', () => setTimeout(call, 100))
      for (let n = 0; n < 300; n += 1) call()`
    const attacker = lab.spawnIn('n2', [process.execPath, '-e', program], { stdio: ['ignore', 'pipe', 'ignore'] })
    try {
      await new Promise((resolve) => attacker.stdout?.once('data', resolve))
      for (let n = 0; n < 5; n += 1) {
        if (port === 9471) expect((await deployment.api('/api/v1/vms')).status).toBe(200)
        else expect((await lab.httpGet('mgmt', `http://${host}:${port}/metrics`)).status).toBe(200)
      }
    } finally {
      attacker.kill('SIGKILL')
    }
  })
})

describe('what a VM task takes of its node', () => {
  it('is no more than 30 MB of log, whatever it writes', async () => {
    // Through the runner's own standard output.
    const program = `
      const fs = require('node:fs')
      const runner = fs.readdirSync('/proc').find((pid) => /^[0-9]+$/.test(pid) && pid !== '1' && pid !== String(process.pid) && fs.readFileSync('/proc/' + pid + '/cmdline', 'utf8').includes('runner.cjs'))
      const out = fs.openSync('/proc/' + runner + '/fd/1', 'w')
      const text = ('x'.repeat(1000) + '\\n').repeat(1000)
      for (let n = 0; n < 60; n += 1) for (let at = 0; at < text.length; ) at += fs.writeSync(out, text.slice(at))`
    await inTask(program)
    const { LogPath } = await inspect(escaped)
    const directory = dirname(LogPath)
    const size = (): number =>
      readdirSync(directory)
        .filter((file) => file.includes('-json.log'))
        .reduce((sum, file) => sum + statSync(join(directory, file)).size, 0)
    await until('the log to be rotated', 60_000, async () => (size() > 20_000_000 ? true : undefined), 200)
    expect(size()).toBeLessThan(31_000_000)
  })

  it('is no more than the size of its disks in one file of QEMU', () => {
    const children = readFileSync(`/proc/${escaped.pid}/task/${escaped.pid}/children`, 'utf8').trim().split(' ')
    const qemu = children.find((pid) => readlinkSync(`/proc/${pid}/exe`).includes('qemu-system'))
    // The soft limit: the runner raises it when a disk grows. QEMU cannot, because its sandbox denies it (resourcecontrol).
    const limit = /^Max file size +(\d+) /m.exec(readFileSync(`/proc/${qemu}/limits`, 'utf8'))
    expect(limit?.[1]).toBe(String(mostDiskBytes(1024 ** 3)))
  })

  it('is reported where it is more than its disks', async () => {
    try {
      const overuse = await until('the node to report it', 180_000, async () => {
        const { nodes } = (await deployment.api('/api/v1/nodes')).body as { nodes: readonly NodeView[] }
        return nodes.find((one) => one.hostname === escaped.node)?.facts?.overuse?.find((one) => one.vm === 'escaped')
      })
      expect(overuse.usedBytes).toBeGreaterThan(overuse.allowedBytes)
    } finally {
      await inside('rm', '/vm/run/filler')
    }
  }, 240_000)

  it('is no more than 512 processes', async () => {
    const program = `
      const { spawn } = require('node:child_process')
      let refused = 0
      for (let n = 0; n < 600; n += 1) spawn('sleep', ['20']).on('error', () => { refused += 1 })
      setTimeout(() => { console.log(refused > 0 ? 'refused' : 'none was refused'); process.exit(0) }, 2000)`
    expect(await inTask(program)).toBe('refused')
    // Other VMs of the cluster do not notice.
    expect(otherNode(deployment.lab, escaped.node)).not.toBe(escaped.node)
    await waitReady(deployment, 'neighbour')
  })
})

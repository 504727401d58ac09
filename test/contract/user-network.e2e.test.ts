import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { must, run } from '../lab/run.ts'

const adapter = join(import.meta.dirname, '../../src/adapters/linux/nft-user-network.ts')
const prefix = `svu${process.pid}`
const [node, task, other] = [`${prefix}n`, `${prefix}t`, `${prefix}o`]
const listeners: AbortController[] = []

/** In the network namespace of a machine. */
function inside(machine: string, ...argv: readonly string[]): readonly string[] {
  return ['ip', 'netns', 'exec', machine, ...argv]
}

/** A node with the bridge of the user network, a task on that bridge, and another machine on the LAN that is another node. */
async function build(): Promise<void> {
  for (const machine of [node, task, other]) await must(['ip', 'netns', 'add', machine])
  const steps = [
    inside(node, 'ip', 'link', 'add', 'sv-user', 'type', 'bridge'),
    ['ip', 'link', 'add', 'eth0', 'netns', task, 'type', 'veth', 'peer', 'name', 'vtask', 'netns', node],
    ['ip', 'link', 'add', 'eth0', 'netns', other, 'type', 'veth', 'peer', 'name', 'lan0', 'netns', node],
    inside(node, 'ip', 'link', 'set', 'vtask', 'master', 'sv-user'),
    ...['lo', 'vtask', 'sv-user', 'lan0'].map((link) => inside(node, 'ip', 'link', 'set', link, 'up')),
    ...[task, other].flatMap((machine) => ['lo', 'eth0'].map((link) => inside(machine, 'ip', 'link', 'set', link, 'up'))),
    inside(node, 'ip', 'address', 'add', '10.91.0.1/24', 'dev', 'sv-user'),
    inside(node, 'ip', 'address', 'add', '10.92.0.1/24', 'dev', 'lan0'),
    inside(task, 'ip', 'address', 'add', '10.91.0.2/24', 'dev', 'eth0'),
    inside(other, 'ip', 'address', 'add', '10.92.0.2/24', 'dev', 'eth0'),
    inside(other, 'ip', 'address', 'add', '10.92.0.3/24', 'dev', 'eth0'),
    inside(task, 'ip', 'route', 'add', 'default', 'via', '10.91.0.1'),
    inside(other, 'ip', 'route', 'add', 'default', 'via', '10.92.0.1'),
    inside(node, 'sysctl', '-qw', 'net.ipv4.ip_forward=1'),
    // As Swarm publishes a port on a node: the packet gets another destination.
    inside(
      node,
      'nft',
      'table ip svtest { chain pre { type nat hook prerouting priority dstnat; tcp dport 8099 dnat to 10.92.0.2:80; }; }',
    ),
  ]
  for (const argv of steps) await must(argv)
}

const listen = `for (const port of [80, 2377, 9100]) require('node:net').createServer((socket) => socket.end()).listen(port)`

async function reaches(machine: string, address: string, port: number): Promise<boolean> {
  const program = `const socket = require('node:net').connect({ host: '${address}', port: ${port} })
    socket.on('connect', () => process.exit(0)).on('error', () => process.exit(1)).setTimeout(1500, () => process.exit(1))`
  return (await run(inside(machine, process.execPath, '-e', program))).code === 0
}

beforeAll(async () => {
  await build()
  for (const machine of [node, other, task]) {
    const stop = new AbortController()
    listeners.push(stop)
    void run(inside(machine, process.execPath, '-e', listen), { signal: stop.signal }).catch(() => undefined)
  }
  const program = `const { nftUserNetwork } = await import(${JSON.stringify(adapter)})
    const filter = nftUserNetwork({ interface: 'sv-user', protect: ['10.92.0.3'] })
    if (await filter.isComplete()) process.exit(2)
    await filter.apply()
    process.exit((await filter.isComplete()) ? 0 : 3)`
  await must(inside(node, process.execPath, '--input-type=module', '-e', program))
})

afterAll(async () => {
  for (const stop of listeners) stop.abort()
  for (const machine of [node, task, other]) await run(['ip', 'netns', 'del', machine])
})

describe('the filter of the user network, in a real kernel', () => {
  it('lets a task reach other machines, and other machines reach a task', async () => {
    expect(await reaches(task, '10.92.0.2', 80)).toBe(true)
    expect(await reaches(other, '10.91.0.2', 80)).toBe(true)
    expect(await reaches(node, '10.91.0.2', 80)).toBe(true)
  })

  it.each([
    ['the node on its bridge', '10.91.0.1', 80],
    ['the node on the LAN', '10.92.0.1', 80],
    ['a port that the node publishes for another machine', '10.92.0.1', 8_099],
    ['the Swarm port of another machine', '10.92.0.2', 2_377],
    ['the metrics port of another machine', '10.92.0.2', 9_100],
    ['a protected address', '10.92.0.3', 80],
    ['the metadata address', '169.254.169.254', 80],
  ])('keeps a task from %s', async (_what, address, port) => {
    expect(await reaches(task, address, port)).toBe(false)
  })

  it('has something to keep it from: another machine reaches the published port', async () => {
    expect(await reaches(other, '10.92.0.1', 80)).toBe(true)
  })
})

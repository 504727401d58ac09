/** The lab itself, on a lab of its own. Needs root on Linux, minutes with a cold cache, half a minute with a warm one. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Lab, labLeftovers, labUp, type NodeName } from './lab.ts'
import { nodeBinary } from './layout.ts'
import { until } from './run.ts'

const name = 't1'
const names: NodeName[] = ['n1', 'n2', 'n3']

function runLab(...args: string[]): ReturnType<typeof spawn> {
  const main = join(import.meta.dirname, 'main.ts')
  return spawn(nodeBinary(), [main, ...args], { env: { ...process.env, SWARMVIRT_LAB: name }, stdio: 'ignore' })
}

async function endsWell(...args: string[]): Promise<void> {
  const [code] = await once(runLab(...args), 'exit')
  expect(code, `lab ${args.join(' ')}`).toBe(0)
}

describe('a lab that is up', () => {
  let lab: Lab
  beforeAll(async () => {
    lab = await labUp(name, { fresh: true })
  })
  afterAll(async () => lab.down())

  it('has three managers that are Ready', async () => {
    const listing = await lab.mustDocker('n3', ['node', 'ls', '--format', '{{.Hostname}} {{.Status}} {{.ManagerStatus}}'])
    expect(listing.trim().split('\n').sort()).toEqual([
      expect.stringMatching(/^n1 Ready (Leader|Reachable)$/),
      expect.stringMatching(/^n2 Ready (Leader|Reachable)$/),
      expect.stringMatching(/^n3 Ready (Leader|Reachable)$/),
    ])
  })

  it.each([
    ['exec', 'n2', '--', 'hostname', '--short'],
    ['exec', 'lan', 'ip', '-brief', 'link'],
    ['docker', 'n1', '--', 'node', 'ls', '--format', '{{.Hostname}}'],
    ['docker', 'n1', 'node', 'ls'],
  ])('runs %s %s %s %s', async (...command) => {
    const [code] = await once(runLab(...command), 'exit')
    expect(code).toBe(0)
  })

  it('has the images of the project on every node, with one id', async () => {
    for (const image of ['swarmvirt:dev', 'swarmvirt-node:dev']) {
      const ids = await Promise.all(names.map((node) => lab.mustDocker(node, ['image', 'inspect', '-f', '{{.Id}}', image])))
      expect(new Set(ids).size, image).toBe(1)
    }
    const version = await lab.mustDocker('n2', ['run', '--rm', '--entrypoint', 'qemu-system-x86_64', 'swarmvirt-node:dev', '--version'])
    expect(version).toMatch(/version 10\./)
  })

  it('runs a service on all nodes whose tasks reach each other over an overlay', async () => {
    await lab.mustDocker('n1', ['network', 'create', '--driver', 'overlay', 'over'])
    const service = '--name mesh --mode global --network over --endpoint-mode dnsrr --hostname {{.Node.Hostname}}'.split(' ')
    const script = 'mkdir /www; hostname > /www/name; httpd -p 80 -h /www; sleep 3600'
    await lab.mustDocker('n1', ['service', 'create', '-d', '--no-resolve-image', ...service, 'swarmvirt-tiny:1', 'sh', '-c', script])
    const container = await until('the task of n2', 30_000, async () => {
      const id = await lab.mustDocker('n2', ['ps', '-q', '--filter', 'name=mesh'])
      return id.trim() === '' ? undefined : id.trim()
    })
    const ask = async (address: string): Promise<string> =>
      lab.mustDocker('n2', ['exec', container, 'wget', '-qO-', `http://${address}/name`])
    const answers = await until('three tasks to answer', 30_000, async () => {
      const found = await lab.mustDocker('n2', ['exec', container, 'nslookup', 'tasks.mesh'])
      const addresses = [...found.matchAll(/Address.*?: (10\.\S+)/g)].map((match) => match[1] ?? '')
      return addresses.length === names.length ? Promise.all(addresses.map(ask)) : undefined
    })
    expect(answers.toSorted()).toEqual(['n1\n', 'n2\n', 'n3\n'])
    await lab.mustDocker('n1', ['service', 'rm', 'mesh'])
  })

  it('bridges a guest on one node to the LAN, where DHCP gives it the reserved address and another node reaches it', async () => {
    const mac = '52:54:00:00:00:42'
    await lab.reserve(mac, '192.168.50.42')
    const onN1 = async (...argv: string[]): Promise<void> => {
      const result = await lab.exec('n1', argv)
      expect(result.code, `${argv.join(' ')}: ${result.stderr}`).toBe(0)
    }
    await onN1('ip', 'netns', 'add', 'guest')
    await onN1('ip', 'link', 'add', 'port', 'type', 'veth', 'peer', 'name', 'eth0', 'address', mac, 'netns', 'guest')
    await onN1('ip', 'link', 'set', 'port', 'master', 'br0', 'up')
    await onN1('ip', '-n', 'guest', 'link', 'set', 'eth0', 'up')
    const client = ['busybox', 'udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-t', '5', '-T', '1', '-s', '/bin/true']
    await onN1('nsenter', '--net=/run/netns/guest', ...client)
    expect(lab.leases().find((lease) => lease.mac === mac)?.ip).toBe('192.168.50.42')
    await onN1('ip', '-n', 'guest', 'addr', 'add', '192.168.50.42/24', 'dev', 'eth0')
    for (const place of ['n2', 'n3', 'lan'] as const) {
      const ping = await lab.exec(place, ['busybox', 'ping', '-c', '2', '-W', '2', '192.168.50.42'])
      expect(ping.code, `from ${place}: ${ping.stdout}`).toBe(0)
    }
  })

  it('moves a reservation and takes it away', async () => {
    const mac = '52:54:00:00:00:43'
    const ask = ['busybox', 'udhcpc', '-i', 'nic1', '-n', '-q', '-f', '-t', '5', '-T', '1', '-s', '/bin/true']
    const leased = async (): Promise<string | undefined> => {
      await lab.exec('n1', ask)
      return lab.leases().find((lease) => lease.mac === mac)?.ip
    }
    await lab.exec('n1', ['ip', 'link', 'add', 'port1', 'type', 'veth', 'peer', 'name', 'nic1', 'address', mac])
    await lab.exec('n1', ['ip', 'link', 'set', 'port1', 'master', 'br0', 'up'])
    await lab.exec('n1', ['ip', 'link', 'set', 'nic1', 'up'])
    for (const ip of ['192.168.50.43', '192.168.50.44']) {
      await lab.reserve(mac, ip)
      expect(await leased()).toBe(ip)
    }
    await lab.reserve(mac, null)
    expect(await leased()).toMatch(/^192\.168\.50\.1\d\d$/)
  })

  it('serves files and a registry to the nodes', async () => {
    writeFileSync(join(lab.www, 'hello.txt'), 'hello\n')
    const page = await lab.exec('n3', ['busybox', 'wget', '-qO-', `http://${lab.wwwAddress}/hello.txt`])
    expect(page.stdout).toBe('hello\n')
    const reference = `${lab.registryAddress}/tiny:1`
    await lab.mustDocker('n1', ['tag', 'swarmvirt-tiny:1', reference])
    await lab.mustDocker('n1', ['push', '-q', reference])
    expect(await lab.mustDocker('n2', ['pull', '-q', reference])).toBe(`${reference}\n`)
  })

  it('keeps each node a state root of its own', async () => {
    await lab.exec('n1', ['touch', '/var/lib/swarmvirt/mine'])
    expect((await lab.exec('n2', ['ls', '/var/lib/swarmvirt'])).stdout).toBe('')
    expect((await lab.exec('n1', ['ls', '/var/lib/swarmvirt'])).stdout).toBe('mine\n')
  })

  it('takes a node back after its dockerd was killed', async () => {
    await lab.killDockerd('n2', 'SIGKILL')
    expect((await lab.docker('n2', ['info'])).code).not.toBe(0)
    await lab.startDockerd('n2')
    await lab.waitReady('n1', 'n2', 'n3')
    expect(await lab.mustDocker('n2', ['run', '--rm', 'swarmvirt-tiny:1', 'echo', 'back'])).toBe('back\n')
  })

  it('takes a node back after its power was cut, with its disks', async () => {
    await lab.exec('n3', ['touch', '/var/lib/swarmvirt/kept'])
    await lab.powerOff('n3')
    await expect(async () => lab.exec('n3', ['true'])).rejects.toThrow(/n3 is off/)
    await lab.powerOn('n3')
    await lab.waitReady('n1', 'n2', 'n3')
    expect((await lab.exec('n3', ['ls', '/var/lib/swarmvirt'])).stdout).toBe('kept\n')
  })

  it('takes a node out of the swarm and in again', async () => {
    await lab.removeNode('n3')
    const left = await lab.mustDocker('n1', ['node', 'ls', '--format', '{{.Hostname}}'])
    expect(left.trim().split('\n').sort()).toEqual(['n1', 'n2'])
    await lab.joinNode('n3')
    await lab.waitReady('n1', 'n2', 'n3')
  })
})

describe('a lab that goes down', () => {
  it('leaves nothing, whatever runs in it', async () => {
    const lab = await labUp(name)
    await lab.mustDocker('n1', ['run', '-d', '--network', 'host', 'swarmvirt-tiny:1', 'sleep', '3600'])
    const paused = await lab.mustDocker('n2', ['run', '-d', 'swarmvirt-tiny:1', 'sleep', '3600'])
    await lab.mustDocker('n2', ['pause', paused.trim()])
    lab.spawnIn('n3', ['setsid', 'sleep', '3600'], { stdio: 'ignore' })
    lab.spawnIn('lan', ['sleep', '3600'], { stdio: 'ignore' })
    await sleep(300)
    expect(labLeftovers(name)).not.toEqual([])
    await lab.down()
    expect(labLeftovers(name)).toEqual([])
  })

  it('is no error when it is down already', async () => {
    await endsWell('down')
    expect(labLeftovers(name)).toEqual([])
  })

  // From the first namespace to the swarm: a warm `up` takes about three seconds.
  it.each([200, 500, 800, 1_200, 1_700, 2_300])(
    'leaves nothing when "up" was killed after %i ms, before or after another "up"',
    async (ms) => {
      const killed = runLab('up', '--fresh')
      const ended = once(killed, 'exit')
      await sleep(ms)
      killed.kill('SIGKILL')
      const [code] = await ended
      // A code instead of a signal: "up" was through, or had failed, before it could be killed.
      expect(code).toBe(null)
      if (ms % 1_000 === 200) await endsWell('down')
      await endsWell('up')
      await endsWell('status')
      await endsWell('down')
      expect(labLeftovers(name)).toEqual([])
    },
  )

  it('is not disturbed by a second run that starts at the same time', async () => {
    await Promise.all([endsWell('up'), endsWell('up')])
    await Promise.all([endsWell('down'), endsWell('down')])
    expect(labLeftovers(name)).toEqual([])
  })
})

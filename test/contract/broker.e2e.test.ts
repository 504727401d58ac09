import { execFileSync } from 'node:child_process'
import { chownSync, chmodSync, closeSync, existsSync, readFileSync, statSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sharedGid } from '../../src/api/layout.ts'
import { tapName, type VmUid } from '../../src/api/names.ts'
import type { LeaseFact } from '../../src/api/wire/broker-admin.ts'
import type { Grant } from '../../src/api/wire/common.ts'
import { arp, dhcpAck, dhcpRequest, udp, udp6, withTags } from './broker/frames.ts'
import { Admin, eventually, type Speaker, World } from './broker/world.ts'
import { aMac, aUid, aVmName } from '../support/branded.ts'

let world: World
let broker: Speaker
let admin: Admin
let lastVm = 0

beforeAll(async () => {
  world = new World()
  broker = world.startBroker()
  admin = await Admin.connect(world.paths.adminSocket)
})
afterAll(async () => {
  admin?.close()
  await world?.close()
})

/** Every test has VMs of its own. */
function aGrant(overrides: Partial<Grant> = {}): Grant {
  lastVm += 1
  const hex = lastVm.toString(16).padStart(2, '0')
  return {
    version: 1,
    uid: aUid(`00000000-0000-4000-8000-0000000000${hex}`),
    vm: aVmName(`vm${lastVm}`),
    accelerator: 'tcg',
    nics: [{ name: 'lan', bridge: 'br0', mac: aMac(`52:54:00:00:00:${hex}`), mtu: null }],
    ...overrides,
  }
}

async function runningVm(grant = aGrant()): Promise<{ grant: Grant; runner: Speaker; tap: string }> {
  expect(await admin.grant(grant)).toMatchObject({ type: 'ok' })
  const runner = world.startRunner(grant.uid)
  await runner.hears('welcome')
  runner.tell('acquire')
  await runner.hears('granted')
  return { grant, runner, tap: tapName(grant.uid, 'lan') }
}

async function lease(uid: VmUid): Promise<LeaseFact | undefined> {
  const response = await admin.ask({ type: 'leases' })
  return response.type === 'leases' ? response.leases.find((each) => each.uid === uid) : undefined
}

async function restartBroker(): Promise<void> {
  admin.close()
  await broker.end('SIGKILL')
  broker = world.startBroker()
  admin = await Admin.connect(world.paths.adminSocket)
}

const send = (runner: Speaker, frame: Buffer): void => runner.tell(`frame ${frame.toString('hex')}`)

async function seen(mac: string, via: string): Promise<{ ip: string; interface: string } | undefined> {
  const response = await admin.ask({ type: 'sightings', macs: [mac] })
  return response.type === 'sightings' ? response.sightings.find((each) => each.via === via && each.interface.startsWith('sv')) : undefined
}

/** Sources that the bridge learned from a TAP. */
function learned(tap: string): string[] {
  const entries = world.bridge('fdb', 'show', 'br', 'br0', 'brport', tap).split('\n')
  return entries.filter((line) => line !== '' && !line.includes('permanent')).map((line) => line.split(' ')[0] ?? '')
}

function rules(): string {
  return world.nft('list', 'ruleset')
}

describe('what a guest sends', () => {
  it.each(['ff:ff:ff:ff:ff:ff', '52:54:00:99:99:99', '01:80:c2:00:00:0e', '01:80:c2:00:00:00'])(
    'with 20,000 other MACs to %s is not learned by the bridge',
    async (to) => {
      const { grant, runner, tap } = await runningVm()
      const mac = grant.nics[0]?.mac ?? ''
      runner.tell(`flood 20000 ${to}`)
      await runner.hears('flooded')
      send(runner, arp({ from: mac, senderIp: '192.168.77.50' }))
      await eventually('its own MAC is learned', () => learned(tap).includes(mac))
      expect(learned(tap)).toEqual([mac])
      await runner.end()
    },
  )

  const tags = {
    'one tag of VLAN 0': [['8100', 0]],
    'two tags of VLAN 0': [
      ['8100', 0],
      ['8100', 0],
    ],
    'a service tag and a tag of VLAN 0': [
      ['88a8', 0],
      ['8100', 0],
    ],
    'one tag of another VLAN': [['8100', 5]],
  } as const

  it("does not reach the node's Swarm, Docker, metrics and control ports, over IPv4, IPv6, with VLAN tags or by frames that a bridge keeps to itself", async () => {
    world.ip('addr', 'add', '192.168.77.1/24', 'dev', 'br0')
    const bridge = world.link('br0') as { address: string }
    const [local] =
      (JSON.parse(world.ip('-6', '-j', 'addr', 'show', 'dev', 'br0')) as { addr_info: { local: string }[] }[])[0]?.addr_info ?? []
    const guarded = [2375, 2377, 4789, 7946, 9100, 9470, 9471, 9472, 9499]
    const open = [22, 53, 2378, 9099, 9500]
    const listener = world.startInside('test/contract/broker/udp-listener.ts', ...[...guarded, ...open].map(String))
    await listener.hears('listening')
    const { grant, runner } = await runningVm()
    const from = grant.nics[0]?.mac ?? ''
    const v4 = { from, to: bridge.address, source: '192.168.77.50', target: '192.168.77.1' }
    const v6 = { ...v4, source: 'fe80::5054:ff:fe00:1', target: local?.local ?? '' }
    await eventually('every open port is reached', () => {
      for (const port of [...guarded, ...open]) {
        send(runner, udp({ ...v4, ports: [4000, port], payload: Buffer.from('v4') }))
        send(runner, udp({ ...v4, to: '01:80:c2:00:00:0e', ports: [4000, port], payload: Buffer.from('kept') }))
        send(runner, udp6({ ...v6, ports: [4000, port], payload: Buffer.from('v6') }))
        for (const [name, of] of Object.entries(tags)) {
          send(runner, withTags(udp({ ...v4, ports: [4000, port], payload: Buffer.from(name) }), of))
          send(runner, withTags(udp6({ ...v6, ports: [4000, port], payload: Buffer.from(name) }), of))
        }
      }
      const reached = new Set(listener.said.map(({ port, payload }) => `${String(port)} ${String(payload)}`))
      return open.every((port) => reached.has(`${port} v4`) && reached.has(`${port} v6`))
    })
    const kept = ['kept', ...Object.keys(tags)]
    const reached = listener.said.filter(({ port, payload }) => guarded.includes(port as number) || kept.includes(String(payload)))
    expect(reached).toEqual([])
    await runner.end()
    await listener.end()
    world.ip('addr', 'del', '192.168.77.1/24', 'dev', 'br0')
  })

  it("does not reach other nodes' ports at addresses that the command line protects", async () => {
    const protect = ['--protect', '192.168.77.2', '--protect', '2001:db8::/32', '--protect', 'fd00::/8']
    admin.close()
    await broker.end('SIGKILL')
    broker = world.startBroker({ args: protect })
    admin = await Admin.connect(world.paths.adminSocket)
    const listener = world.startBeside('test/contract/broker/udp-listener.ts', '7946', '5353')
    await listener.hears('listening')
    const { grant, runner } = await runningVm()
    const [neighbour] = JSON.parse(world.neighbourIp('-j', 'link', 'show', 'eth0')) as { address: string }[]
    const parts = { from: grant.nics[0]?.mac ?? '', to: neighbour?.address ?? '', source: '192.168.77.50', target: '192.168.77.2' }
    await eventually('the open port is reached', () => {
      for (const port of [7946, 5353]) {
        const frame = udp({ ...parts, ports: [4000, port], payload: Buffer.from('v4') })
        send(runner, frame)
        for (const of of Object.values(tags))
          send(runner, withTags(udp({ ...parts, ports: [4000, port], payload: Buffer.from('tagged') }), of))
      }
      return listener.said.some(({ port }) => port === 5353)
    })
    expect(listener.said.filter(({ port, payload }) => port === 7946 || payload === 'tagged')).toEqual([])
    await runner.end()
    await listener.end()
    await restartBroker()
  })

  it('is filtered before it has its TAP, through a restart of the broker and after somebody flushed all rules, until its TAP is gone', async () => {
    const { grant, runner, tap } = await runningVm()
    const lock = `ether saddr != ${grant.nics[0]?.mac}`
    // The broker sent its message just now, without any wait in between.
    expect(rules()).toContain(lock)
    expect(await lease(grant.uid)).toMatchObject({ guestFilter: { state: 'active' } })
    await restartBroker()
    expect(rules()).toContain(lock)
    await runner.hears('closed')
    await admin.grant(grant)
    runner.tell('connect')
    await runner.hears('welcome')
    runner.tell('reclaim')
    await runner.hears('granted')
    world.nft('flush', 'ruleset')
    await eventually('the rules come back', () => rules().includes(lock) || undefined)
    // The kernel has them a moment before nft ends.
    await eventually('the rules to be reported', async () => (await lease(grant.uid))?.guestFilter?.state === 'active' || undefined)
    // Each TAP goes through the rules that all of them share, and those come back, too.
    world.nft('flush', 'chain', 'netdev', 'swarmvirt', 'guests')
    await eventually('the shared rules come back', () => rules().includes('8021ad drop') || undefined)
    await runner.end()
    await eventually('the rules go', () => !rules().includes(tap) || undefined)
  })

  it('is filtered by the MAC that its TAP was made for, though the grant has another one by now', async () => {
    const { grant, runner, tap } = await runningVm()
    const mac = grant.nics[0]?.mac ?? ''
    await restartBroker()
    await runner.hears('closed')
    await admin.grant({ ...grant, nics: [{ name: 'lan', bridge: 'br0', mac: aMac('52:54:00:00:00:ee'), mtu: null }] })
    runner.tell('connect')
    await runner.hears('welcome')
    runner.tell('reclaim')
    expect(await runner.hears('granted')).toMatchObject({ nics: [{ tap, mac }] })
    expect(rules()).toContain(`ether saddr != ${mac}`)
    await runner.end()
  })

  it('passes with any MAC where the grant says antiSpoof: off, also for a new broker, and the ports of the node stay protected', async () => {
    const { name, mac } = { name: 'lan', mac: aMac('52:54:00:00:00:0f') }
    const { grant, runner, tap } = await runningVm(aGrant({ nics: [{ name, mac, mtu: null, port: { bridge: 'br0', antiSpoof: 'off' } }] }))
    expect(await lease(grant.uid)).toMatchObject({ guestFilter: { state: 'active', unlocked: ['lan'] } })
    runner.tell('flood 4 ff:ff:ff:ff:ff:ff')
    await runner.hears('flooded')
    expect(learned(tap)).toHaveLength(4)
    await restartBroker()
    await runner.hears('closed')
    await admin.grant(grant)
    runner.tell('connect')
    await runner.hears('welcome')
    runner.tell('reclaim')
    await runner.hears('granted')
    await eventually('the rules to be reported', async () => (await lease(grant.uid))?.guestFilter?.state === 'active' || undefined)
    expect(await lease(grant.uid)).toMatchObject({ guestFilter: { unlocked: ['lan'] } })
    expect(world.nft('list', 'chain', 'netdev', 'swarmvirt', tap)).toMatch(/continue\s+jump guests/)
    await runner.end()
  })

  it('leaves rules of others alone, and removes stale ones of an earlier broker', async () => {
    world.nft('add table inet other; add chain inet other svaaaaaaaaaaaa')
    world.nft(
      'add table bridge swarmvirt; add set bridge swarmvirt taps { type ifname; }; add element bridge swarmvirt taps { "svaaaaaaaaaaaa" }',
    )
    await restartBroker()
    expect(rules()).toContain('chain svaaaaaaaaaaaa')
    expect(rules()).not.toContain('"svaaaaaaaaaaaa"')
    world.nft('delete table inet other')
  })

  it('is reported as unfiltered, with the reason, if the broker has no nft, and the VM runs', async () => {
    admin.close()
    await broker.end('SIGKILL')
    broker = world.startBroker({ withoutNft: true })
    admin = await Admin.connect(world.paths.adminSocket)
    const { grant, runner } = await runningVm()
    expect(await lease(grant.uid)).toMatchObject({ guestFilter: { state: 'inactive', message: expect.stringContaining('nft') } })
    await runner.end()
    await restartBroker()
  })
})

describe('the broker on a real kernel', () => {
  it('runs with two capabilities and says what its command line allows', async () => {
    const pid = Number(execFileSync('ip', ['netns', 'pids', world.namespace], { encoding: 'utf8' }).split('\n')[0])
    // CAP_NET_ADMIN is 12 and CAP_NET_RAW 13.
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/CapEff:\s+0000000000003000\n/)
    expect(admin.hello.limits).toEqual({ bridges: ['br0'], macPrefix: '52:54:00' })
    expect(await admin.ask({ type: 'facts' })).toMatchObject({
      facts: { devices: { tun: { present: true, opens: true } }, bridges: [{ name: 'br0', mtu: 1500, up: true, address: null }] },
    })
  })

  it('makes sockets that the shared group can use and nobody else', async () => {
    const grant = aGrant()
    await admin.grant(grant)
    const directory = statSync(world.paths.socketDirectory(grant.uid))
    expect([directory.uid, directory.gid, directory.mode & 0o7777]).toEqual([0, sharedGid, 0o2750])
    const socket = statSync(world.paths.brokerSocket(grant.uid))
    expect([socket.uid, socket.gid, socket.mode & 0o7777]).toEqual([0, sharedGid, 0o660])
  })

  it('passes a TAP on the bridge to a process without any privilege, and keeps no copy', async () => {
    const { grant, runner, tap } = await runningVm()
    expect(runner.said.at(-1)).toMatchObject({
      reclaimed: false,
      kvm: false,
      fds: 1,
      nics: [{ name: 'lan', tap, bridge: 'br0', mtu: 1500 }],
    })
    expect(world.link(tap)).toMatchObject({
      master: 'br0',
      mtu: 1500,
      address: `fe${grant.nics[0]?.mac.slice(2)}`,
      inet6_addr_gen_mode: 'none',
    })
    expect(await lease(grant.uid)).toMatchObject({ held: true, waiting: 0, nics: [{ tap, attached: true, carrier: true }] })
    await runner.end()
    await eventually('the TAP goes with its holder', () => world.link(tap) === undefined)
    await eventually('the lease is free', async () => !(await lease(grant.uid))?.held)
    expect(await lease(grant.uid)).toMatchObject({ held: false, nics: [{ tap, attached: false }] })
  })

  it('isolates the ports that the grant names, from each other and not from the host', async () => {
    const isolated = (hex: string): Grant =>
      aGrant({ nics: [{ name: 'lan', mac: aMac(`52:54:00:00:01:${hex}`), mtu: null, port: { bridge: 'br0', isolated: true } }] })
    const [one, two, other] = [await runningVm(isolated('01')), await runningVm(isolated('02')), await runningVm()]
    const isIsolated = ({ tap }: { tap: string }): string =>
      readFileSync(`/proc/${broker.child.pid}/root/sys/class/net/${tap}/brport/isolated`, 'utf8').trim()
    expect([one, two, other].map(isIsolated)).toEqual(['1', '1', '0'])
    for (const { runner } of [one, two, other]) await runner.end()
  })

  it('refuses a VLAN on a kernel without VLAN filtering, and says so', async () => {
    const grant = aGrant({ nics: [{ name: 'lan', mac: aMac('52:54:00:00:01:03'), mtu: null, port: { bridge: 'br0', vlan: 20 } }] })
    const facts = await admin.ask({ type: 'facts' })
    const filtering = facts.type === 'facts' ? facts.facts.bridges[0]?.vlanFiltering : undefined
    const checked = await admin.ask({ type: 'check', grant })
    if (filtering === 'on') return expect(checked).toMatchObject({ type: 'ok' })
    expect(checked).toMatchObject({
      type: 'error',
      reason: 'VlanUnavailable',
      message: expect.stringContaining('VLAN 20 on br0') as string,
    })
    await admin.grant(grant)
    const runner = world.startRunner(grant.uid)
    await runner.hears('welcome')
    runner.tell('acquire')
    expect(await runner.hears('waiting')).toMatchObject({ reason: 'VlanUnavailable' })
    await runner.end()
  })

  it('names a port of the bridge with a smaller MTU than the guest uses', async () => {
    const { grant, runner } = await runningVm()
    // A bridge that was given an MTU keeps it when a port has a smaller one.
    world.ip('link', 'set', 'br0', 'mtu', '1500')
    world.ip('link', 'set', 'up0', 'mtu', '1400')
    const message = expect.stringContaining('up0, a port of br0, has MTU 1400') as string
    expect(await lease(grant.uid)).toMatchObject({ nics: [{ problem: { reason: 'PortMtuTooSmall', message } }] })
    world.ip('link', 'set', 'up0', 'mtu', '1500')
    expect((await lease(grant.uid))?.nics[0]).not.toHaveProperty('problem')
    await runner.end()
  })

  it('reports a FORWARD chain that drops frames of the bridge, and adds the missing rule only if its command line says so', async () => {
    const iptables = (...args: string[]): string =>
      execFileSync('ip', ['netns', 'exec', world.namespace, 'iptables', '-w', ...args], { encoding: 'utf8' })
    const rule = '-A FORWARD -i br0 -o br0 -j ACCEPT'
    const again = async (...args: string[]): Promise<void> => {
      admin.close()
      await broker.end('SIGKILL')
      broker = world.startBroker({ args })
      admin = await Admin.connect(world.paths.adminSocket)
    }
    iptables('-P', 'FORWARD', 'DROP')
    await again()
    const { grant, runner } = await runningVm()
    const problem = async () => (await lease(grant.uid))?.nics[0]?.problem
    const found = await eventually('the drop to be reported', problem)
    expect(found).toMatchObject({
      reason: 'ForwardDropped',
      message: expect.stringContaining('iptables -I FORWARD -i br0 -o br0 -j ACCEPT') as string,
    })
    expect(iptables('-S', 'FORWARD')).not.toContain(rule)
    await runner.end()
    await again('--fix-forward')
    await eventually('the rule to be added', () => iptables('-S', 'FORWARD').includes(rule) || undefined)
    const other = await runningVm()
    expect((await lease(other.grant.uid))?.nics[0]).not.toHaveProperty('problem')
    await other.runner.end()
    iptables('-F', 'FORWARD')
    iptables('-P', 'FORWARD', 'ACCEPT')
    await restartBroker()
  })

  it('lets a second runner wait until the first is gone and no QEMU has the disk open', async () => {
    const { grant, runner } = await runningVm()
    const disk = world.makeInstance(grant.uid)
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', disk, '1M'])
    chownSync(disk, 30702, sharedGid)
    chmodSync(disk, 0o660)
    const qemu = world.start('qemu-io', '-f', 'qcow2', disk)
    const second = world.startRunner(grant.uid)
    await second.hears('welcome')
    second.tell('acquire')
    expect(await second.hears('waiting')).toMatchObject({ reason: 'WaitingForPrevious' })
    expect(await lease(grant.uid)).toMatchObject({ held: true, waiting: 1, waitReason: 'WaitingForPrevious' })
    await eventually('QEMU locks the disk', () => /OFDLCK/.test(readFileSync('/proc/locks', 'utf8')))
    await runner.end()
    expect(await second.hears('waiting')).toMatchObject({ reason: 'ImageLocked' })
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(second.said.some((each) => each.type === 'granted')).toBe(false)
    await qemu.end()
    await second.hears('granted')
    await second.end()
  })

  it('knows its holders again after kill -9, and gives nothing to others meanwhile', async () => {
    const { grant, runner, tap } = await runningVm()
    await restartBroker()
    await runner.hears('closed')
    // The socket is bound before any grant is renewed.
    const other = world.startRunner(grant.uid)
    await other.hears('welcome')
    other.tell('acquire')
    expect(await other.hears('waiting')).toMatchObject({ reason: 'NoGrant' })
    await admin.grant(grant)
    expect(await other.hears('waiting')).toMatchObject({ reason: 'TapBusy' })
    runner.tell('connect')
    await runner.hears('welcome')
    runner.tell('reclaim')
    expect(await runner.hears('granted')).toMatchObject({ reclaimed: true, fds: 0, nics: [{ tap }] })
    expect(await other.hears('waiting')).toMatchObject({ reason: 'WaitingForPrevious' })
    expect(world.link(tap)).toMatchObject({ master: 'br0' })
    await runner.end()
    await other.hears('granted')
    await other.end()
  })

  it('holds the lease for a holder that proves itself before the grant is renewed', async () => {
    const { grant, runner } = await runningVm()
    await restartBroker()
    await runner.hears('closed')
    runner.tell('connect')
    await runner.hears('welcome')
    runner.tell('reclaim')
    expect(await runner.hears('waiting')).toMatchObject({ reason: 'NoGrant' })
    expect(await lease(grant.uid)).toMatchObject({ held: true, granted: false })
    await admin.grant(grant)
    expect(await runner.hears('granted')).toMatchObject({ reclaimed: true })
    await runner.end()
  })

  it('refuses a name without its TAP, and a TAP of another VM', async () => {
    const { grant, runner, tap } = await runningVm()
    const forger = world.startRunner(grant.uid)
    await forger.hears('welcome')
    forger.tell(`forge ${tap}`)
    expect(await forger.hears('refused')).toMatchObject({ reason: 'ProofRefused' })
    await forger.end()
    // A grant whose TAPs are others: what the runner holds is then none of this VM's.
    await restartBroker()
    await runner.hears('closed')
    await admin.grant({
      ...grant,
      nics: [{ name: 'other', bridge: 'br0', mac: grant.nics[0]?.mac ?? aMac('52:54:00:00:00:01'), mtu: null }],
    })
    runner.tell('connect')
    await runner.hears('welcome')
    runner.tell('reclaim')
    expect(await runner.hears('refused')).toMatchObject({ reason: 'ProofRefused' })
    expect(await lease(grant.uid)).toMatchObject({ held: false, waiting: 0 })
    await runner.end()
  })

  it('knows the address of a guest by its own ARP and by the answer to its own REQUEST, and by nothing that others send', async () => {
    const hostile = await runningVm()
    const { grant, runner, tap } = await runningVm()
    const mac = grant.nics[0]?.mac ?? ''
    const hostileMac = hostile.grant.nics[0]?.mac ?? ''
    send(runner, arp({ from: mac, senderIp: '192.168.77.50' }))
    expect(await eventually('the ARP to be received', () => seen(mac, 'arp'))).toMatchObject({ ip: '192.168.77.50', interface: tap })
    // A port without a carrier forwards nothing, and a broadcast shows the transaction to everybody: the forger has it before the server answers.
    const forge = (): void => {
      send(hostile.runner, dhcpAck({ from: hostileMac, client: mac, xid: 7, ip: '192.168.77.66' }))
      send(hostile.runner, dhcpAck({ from: hostileMac, client: mac, xid: 8, ip: '192.168.77.66' }))
      send(hostile.runner, arp({ from: hostileMac, sender: mac, senderIp: '192.168.77.66' }))
      send(hostile.runner, arp({ from: mac, senderIp: '192.168.77.66' }))
      send(hostile.runner, dhcpRequest({ from: mac, client: mac, xid: 8, ip: '192.168.77.66' }))
    }
    const ack = await eventually('the ACK to be received', () => {
      send(runner, dhcpRequest({ from: mac, client: mac, xid: 7, ip: '192.168.77.51' }))
      forge()
      send(hostile.runner, dhcpAck({ from: hostileMac, client: mac, xid: 7, ip: '192.168.77.51' }))
      return seen(mac, 'dhcp')
    })
    expect(ack).toMatchObject({ ip: '192.168.77.51', interface: tap })
    const response = await admin.ask({ type: 'sightings', macs: [mac, hostileMac] })
    expect(response.type === 'sightings' && response.sightings.filter(({ ip }) => ip === '192.168.77.66')).toEqual([])
    await runner.end()
    await eventually('a TAP that is gone is forgotten', async () => ((await seen(mac, 'arp')) === undefined ? true : undefined))
    await hostile.runner.end()
  })

  it('refuses what the command line does not allow', async () => {
    const [nic] = aGrant().nics
    if (nic === undefined) throw new Error('a grant has a NIC')
    expect(await admin.grant(aGrant({ nics: [{ ...nic, bridge: 'br1' }] }))).toMatchObject({ type: 'error', reason: 'BridgeNotAllowed' })
    expect(await admin.grant(aGrant({ nics: [{ ...nic, mac: aMac('02:00:00:00:00:01') }] }))).toMatchObject({
      type: 'error',
      reason: 'MacNotAllowed',
    })
    const taken = aGrant()
    await admin.grant(taken)
    expect(await admin.grant(aGrant({ nics: taken.nics }))).toMatchObject({ type: 'error', reason: 'MacTaken' })
    expect(await admin.ask({ type: 'arp', bridge: 'eth0', ip: '192.168.77.2', timeoutMs: 100 })).toMatchObject({
      probe: { outcome: 'unknown', reason: 'BridgeNotAllowed' },
    })
  })

  it('finds neighbours by ARP without an address of its own, and pings with one', async () => {
    const ask = async (type: 'arp' | 'ping', ip: string): Promise<unknown> => {
      const response = await admin.ask({ type, bridge: 'br0', ip, timeoutMs: 600 })
      return response.type === 'probe' ? response.probe : response
    }
    await eventually(
      'the neighbour answers',
      async () => ((await ask('arp', '192.168.77.2')) as { outcome: string }).outcome === 'reached' || undefined,
    )
    const mac = (JSON.parse(world.neighbourIp('-j', 'link', 'show', 'eth0')) as { address: string }[])[0]?.address
    expect(await ask('arp', '192.168.77.2')).toMatchObject({ outcome: 'reached', mac })
    expect(await ask('arp', '192.168.77.9')).toMatchObject({ outcome: 'unreached', reason: 'NoArpReply' })
    expect(await ask('ping', '192.168.77.2')).toMatchObject({ outcome: 'unknown', reason: 'NoAddressOnBridge' })
    world.ip('addr', 'add', '192.168.77.1/24', 'dev', 'br0')
    expect(await ask('ping', '192.168.77.2')).toMatchObject({ outcome: 'reached', reason: 'EchoReply' })
    expect(await ask('ping', '192.168.77.9')).toMatchObject({ outcome: 'unreached' })
    expect(await ask('arp', '192.168.77.1')).toMatchObject({ outcome: 'unknown', reason: 'OwnAddress' })
    world.ip('addr', 'del', '192.168.77.1/24', 'dev', 'br0')
  })

  it('cuts off one that sends rubbish, and no other', async () => {
    const { grant, runner } = await runningVm()
    const tooMuch = Array.from({ length: 40 }, () => '{"type":"acquire"}')
    for (const rubbish of [
      ['not json'],
      ['{"type":"launch"}'],
      ['{"type":"reclaim","taps":["sv00000000beef"]}'],
      ['x'.repeat(70_000)],
      tooMuch,
    ]) {
      const bad = world.startRunner(grant.uid)
      await bad.hears('welcome')
      for (const each of rubbish) bad.tell(`raw ${each}`)
      await bad.hears('closed')
      await bad.end()
    }
    expect(await lease(grant.uid)).toMatchObject({ held: true })
    await runner.end()
  })

  it('passes KVM where the node has it, to the agent and to a VM that was granted it', async () => {
    const facts = await admin.ask({ type: 'facts' })
    const opens = facts.type === 'facts' && facts.facts.devices.kvm.opens
    const { response, fds } = await admin.askWithFds({ type: 'openKvm' })
    expect(response).toMatchObject(opens ? { type: 'kvm' } : { type: 'error', reason: 'DeviceMissing' })
    expect(fds).toHaveLength(opens ? 1 : 0)
    for (const fd of fds) closeSync(fd)
    const grant = aGrant({ accelerator: 'kvm' })
    await admin.grant(grant)
    const runner = world.startRunner(grant.uid)
    await runner.hears('welcome')
    runner.tell('acquire')
    const [kind, answer] = opens ? (['granted', { kvm: true, fds: 2 }] as const) : (['waiting', { reason: 'DeviceMissing' }] as const)
    expect(await runner.hears(kind)).toMatchObject(answer)
    await runner.end()
  })

  it('keeps a grant whose bridge is missing, and starts the VM when the bridge comes', async () => {
    world.ip('link', 'set', 'br0', 'name', 'away0')
    const grant = aGrant()
    expect(await admin.grant(grant)).toMatchObject({ type: 'ok' })
    const runner = world.startRunner(grant.uid)
    await runner.hears('welcome')
    runner.tell('acquire')
    expect(await runner.hears('waiting')).toMatchObject({ reason: 'BridgeMissing' })
    world.ip('link', 'set', 'away0', 'name', 'br0')
    await runner.hears('granted')
    await runner.end()
  })

  it('removes a TAP that outlived its process, and none that is in use', async () => {
    const { runner, tap } = await runningVm()
    const stale = 'sv00000000beef'
    world.ip('tuntap', 'add', 'dev', stale, 'mode', 'tap')
    world.ip('link', 'set', stale, 'master', 'br0')
    await restartBroker()
    await eventually('the stale TAP goes', () => world.link(stale) === undefined || undefined)
    expect(world.link(tap)).toMatchObject({ master: 'br0' })
    await runner.end()
  })

  it('lets a running VM keep what it has when its grant is revoked, and takes the socket away after it', async () => {
    const { grant, runner, tap } = await runningVm()
    expect(await admin.ask({ type: 'revoke', uid: grant.uid })).toMatchObject({ type: 'ok' })
    expect(await admin.ask({ type: 'revoke', uid: aGrant().uid })).toMatchObject({ type: 'ok' })
    expect(world.link(tap)).toMatchObject({ master: 'br0' })
    expect(await lease(grant.uid)).toMatchObject({ held: true, granted: false })
    await runner.end()
    await eventually('the lease is gone', async () => (await lease(grant.uid)) === undefined || undefined)
    await admin.ask({ type: 'revoke', uid: grant.uid })
    expect(existsSync(world.paths.socketDirectory(grant.uid))).toBe(false)
  })

  it('has every VM powered off when the host goes down, and lets none start meanwhile, until it is clear that the host stays', async () => {
    const { grant, runner } = await runningVm()
    const host = world.start(process.execPath, 'src/broker/main.ts', 'power-off-all', '--timeout', '30', '--state-root', world.paths.root)
    await runner.hears('powerOff')
    const next = world.startRunner(grant.uid)
    await next.hears('welcome')
    next.tell('acquire')
    await next.hears('waiting')
    await runner.end()
    await eventually('the command ends', () => host.child.exitCode ?? undefined)
    expect([host.child.exitCode, host.errors]).toEqual([0, []])
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(next.said.some((each) => each.type === 'granted')).toBe(false)
    const stays = world.start(process.execPath, 'src/broker/main.ts', 'power-on-all', '--state-root', world.paths.root)
    await eventually('the command ends', () => stays.child.exitCode ?? undefined)
    expect([stays.child.exitCode, stays.errors]).toEqual([0, []])
    await next.hears('granted')
    await next.end()
  })

  it('ends at SIGTERM with code 0 and leaves TAPs to their VMs', async () => {
    await restartBroker()
    const { runner, tap } = await runningVm()
    await broker.end('SIGTERM')
    expect(broker.child.exitCode).toBe(0)
    expect(world.link(tap)).toMatchObject({ master: 'br0' })
    await runner.end()
  })
})

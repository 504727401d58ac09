import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { directLinkName, tapName } from '../../src/api/names.ts'
import type { LeaseFact } from '../../src/api/wire/broker-admin.ts'
import type { Grant } from '../../src/api/wire/common.ts'
import { aMac, aUid, aVmName } from '../support/branded.ts'
import { arp } from './broker/frames.ts'
import { Admin, eventually, type Speaker, World } from './broker/world.ts'

let world: World
let broker: Speaker
let admin: Admin
let lastVm = 0

const args = ['--enable-direct', '--allow-device', 'dev1', '--allow-device', 'up0'] as const

beforeAll(async () => {
  world = new World()
  world.ip('link', 'add', 'dev1', 'type', 'veth', 'peer', 'name', 'eth1', 'netns', world.neighbour)
  world.ip('link', 'set', 'dev1', 'up')
  world.neighbourIp('link', 'set', 'eth1', 'up')
  await start()
})
afterAll(async () => {
  admin?.close()
  await world?.close()
})
beforeEach(() => void (lastVm += 1))

async function start(): Promise<void> {
  broker = world.startBroker({ mayMakeNodes: true, args })
  admin = await Admin.connect(world.paths.adminSocket)
}

async function restart(): Promise<void> {
  admin.close()
  await broker.end('SIGKILL')
  await start()
}

function aGrant(device = 'dev1', changes: Partial<Grant['nics'][number]> = {}): Grant {
  const hex = lastVm.toString(16).padStart(2, '0')
  const nic = { name: 'wan', direct: { device, mode: 'bridge' as const }, mac: aMac(`52:54:00:00:02:${hex}`), mtu: null, ...changes }
  const uid = aUid(`00000000-0000-4000-8000-0000000001${hex}`)
  return { version: 1, uid, vm: aVmName(`direct${lastVm}`), accelerator: 'tcg', nics: [nic] }
}

interface Running {
  readonly grant: Grant
  readonly runner: Speaker
  readonly tap: string
  readonly link: string
  readonly mac: string
}

async function running(grant = aGrant()): Promise<Running> {
  expect(await admin.grant(grant)).toMatchObject({ type: 'ok' })
  const runner = world.startRunner(grant.uid)
  await runner.hears('welcome')
  runner.tell('acquire')
  await runner.hears('granted')
  return { grant, runner, tap: tapName(grant.uid, 'wan'), link: directLinkName(grant.uid, 'wan'), mac: grant.nics[0]?.mac ?? '' }
}

async function waiting(grant: Grant): Promise<unknown> {
  await admin.grant(grant)
  const runner = world.startRunner(grant.uid)
  await runner.hears('welcome')
  runner.tell('acquire')
  const message = await runner.hears('waiting')
  await runner.end()
  await admin.ask({ type: 'revoke', uid: grant.uid })
  return message
}

async function lease({ uid }: Grant): Promise<LeaseFact | undefined> {
  const response = await admin.ask({ type: 'leases' })
  return response.type === 'leases' ? response.leases.find((each) => each.uid === uid) : undefined
}

describe('a direct NIC', () => {
  it('is a macvtap with the MAC of the guest, passed to a process without any privilege, and its device node is gone', async () => {
    const { grant, runner, tap, link, mac } = await running()
    expect(runner.said.at(-1)).toMatchObject({ fds: 2, nics: [{ name: 'wan', tap, bridge: 'dev1', mac, mtu: 1500, token: true }] })
    expect(world.link(link)).toMatchObject({
      address: mac,
      link: 'dev1',
      ifalias: `swarmvirt ${grant.uid} wan`,
      inet6_addr_gen_mode: 'none',
    })
    expect(await lease(grant)).toMatchObject({
      guestFilter: { state: 'active' },
      nics: [{ tap, bridge: 'dev1', direct: { link, mode: 'bridge' }, carrier: true, attached: true }],
    })
    expect((await lease(grant))?.nics[0]).not.toHaveProperty('problem')
    await runner.end()
    await eventually('the macvtap goes after its holder', () => world.link(link) === undefined)
  })

  it('passes frames of the guest with its own MAC to the LAN, and no others', async () => {
    const { grant, runner, link, mac } = await running()
    const before = world.nft('list', 'chain', 'netdev', 'swarmvirt', link)
    expect(before).toContain(`hook egress device "${link}"`)
    const received = (): number =>
      (JSON.parse(world.neighbourIp('-s', '-j', 'link', 'show', 'eth1')) as { stats64: { rx: { packets: number } } }[])[0]?.stats64.rx
        .packets ?? 0
    const start = received()
    runner.tell('flood 50 ff:ff:ff:ff:ff:ff')
    await runner.hears('flooded')
    expect(received()).toBe(start)
    runner.tell(`frame ${arp({ from: mac, senderIp: '192.168.78.9' }).toString('hex')}`)
    await eventually('the frame arrives', () => received() > start)
    const seen = async () => {
      const answer = await admin.ask({ type: 'sightings', macs: [mac] })
      return answer.type === 'sightings' ? answer.sightings[0] : undefined
    }
    expect(await eventually('the address is learned', seen)).toMatchObject({ ip: '192.168.78.9', interface: tapName(grant.uid, 'wan') })
    await runner.end()
  })

  it('stays with its holder through kill -9 of the broker, and nobody else gets it meanwhile', async () => {
    const { grant, runner, link } = await running()
    await restart()
    await runner.hears('closed')
    await admin.grant(grant)
    const second = world.startRunner(grant.uid)
    await second.hears('welcome')
    second.tell('acquire')
    expect(await second.hears('waiting')).toMatchObject({ reason: 'TapBusy' })
    expect(world.link(link)).toBeDefined()
    runner.tell('connect')
    await runner.hears('welcome')
    runner.tell('reclaim')
    expect(await runner.hears('granted')).toMatchObject({ reclaimed: true })
    expect(await second.hears('waiting')).toMatchObject({ reason: 'WaitingForPrevious' })
    await eventually('the rules to be reported', async () => (await lease(grant))?.guestFilter?.state === 'active' || undefined)
    await runner.end()
    await second.hears('granted')
    expect(await lease(grant)).toMatchObject({ held: true, nics: [{ attached: true }] })
    await second.end()
  })

  it('that a killed broker left is removed by its recorded identity, and links of others stay', async () => {
    const { grant, runner, link } = await running()
    admin.close()
    await broker.end('SIGKILL')
    await runner.end()
    expect(world.link(link)).toBeDefined()
    const others = ['sm0123456789ab', 'smaaaaaaaaaaaa'] as const
    for (const name of others) world.ip('link', 'add', 'link', 'dev1', 'name', name, 'type', 'macvtap', 'mode', 'bridge')
    world.ip('link', 'set', others[0], 'alias', `swarmvirt ${grant.uid} other`)
    await start()
    await eventually('the macvtap goes', () => world.link(link) === undefined)
    for (const name of others) expect(world.link(name)).toBeDefined()
    for (const name of others) world.ip('link', 'del', name)
  })

  it('whose link somebody deletes is reported, since the guest notices nothing', async () => {
    const { grant, runner, link } = await running()
    world.ip('link', 'del', link)
    expect(await lease(grant)).toMatchObject({ held: true, nics: [{ attached: false, direct: { link } }] })
    await runner.end()
  })

  it('is not given to a runner that would drop the proof of its lease', async () => {
    const grant = aGrant()
    await admin.grant(grant)
    const runner = world.startRunner(grant.uid)
    await runner.hears('welcome')
    runner.tell('acquireAsBefore')
    expect(await runner.hears('refused')).toMatchObject({ reason: 'RunnerOutdated' })
    expect(world.link(directLinkName(grant.uid, 'wan'))).toBeUndefined()
    await runner.end()
  })

  it('needs a device that the command line allows', async () => {
    expect(await admin.grant(aGrant('lo'))).toMatchObject({
      type: 'error',
      reason: 'DeviceNotAllowed',
      message: expect.stringContaining('--allow-device lo') as string,
    })
    expect(await admin.ask({ type: 'facts' })).toMatchObject({
      facts: {
        direct: [
          { name: 'dev1', mtu: 1500, up: true, carrier: true, problem: '' },
          { name: 'up0', problem: expect.stringContaining('nomaster') as string },
        ],
      },
    })
  })

  it.each([
    ['on the port of a bridge', () => aGrant('up0'), 'DeviceBusy', 'use bridge: br0 in the manifest'],
    ['with a larger MTU than its device', () => aGrant('dev1', { mtu: 9_000 }), 'DeviceMtuTooSmall', 'ip link set dev1 mtu 9000'],
  ])('%s waits with a reason and the command that helps', async (_name, grant, reason, message) => {
    expect(await waiting(grant())).toMatchObject({ reason, message: expect.stringContaining(message) as string })
  })

  it('with the MAC of another interface on the device, or beside a passthru macvtap, waits and says why', async () => {
    const grant = aGrant()
    const mac = grant.nics[0]?.mac ?? ''
    world.ip('link', 'add', 'link', 'dev1', 'name', 'mv0', 'address', mac, 'type', 'macvlan', 'mode', 'bridge')
    world.ip('link', 'set', 'mv0', 'up')
    expect(await waiting(grant)).toMatchObject({ reason: 'DeviceBusy', message: expect.stringContaining(`has the MAC ${mac}`) as string })
    world.ip('link', 'del', 'mv0')
    world.ip('link', 'add', 'link', 'dev1', 'name', 'pt0', 'type', 'macvtap', 'mode', 'passthru')
    expect(await waiting(grant)).toMatchObject({ reason: 'DeviceBusy', message: expect.stringContaining('passthru') as string })
    world.ip('link', 'del', 'pt0')
  })

  it('is refused with the command that helps if the broker may not make device nodes', async () => {
    admin.close()
    await broker.end('SIGKILL')
    broker = world.startBroker({ args })
    admin = await Admin.connect(world.paths.adminSocket)
    expect(await waiting(aGrant())).toMatchObject({ message: expect.stringContaining('--enable-direct') as string })
    await restart()
  })

  it('gets a shrunken MTU reported when its device shrinks', async () => {
    const { grant, runner } = await running()
    world.ip('link', 'set', 'dev1', 'mtu', '1300')
    expect(await lease(grant)).toMatchObject({ nics: [{ problem: { reason: 'PortMtuTooSmall' } }] })
    world.ip('link', 'set', 'dev1', 'mtu', '1500')
    await runner.end()
  })
})

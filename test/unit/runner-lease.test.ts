import { expect, test } from 'vitest'
import { containerOf } from '../../runner/container.ts'
import { acquireLease, type Lease, type LeaseDeps } from '../../runner/lease.ts'
import type { LaunchConfig } from '../../src/api/wire/launch.ts'
import { PortError } from '../../src/ports/errors.ts'
import { type FarEnd, fakeConnection, recordingLog, settle, uid, virtualClock } from './runner-fakes.ts'
import { aMac } from '../support/branded.ts'

const lan = { name: 'lan', tap: 'sv0123456789ab', bridge: 'br0', mac: aMac('52:54:00:12:34:56'), mtu: 1500 }
const granted = { type: 'granted', accelerator: 'kvm', kvm: true, nics: [lan], reclaimed: false }
const reclaimed = { ...granted, reclaimed: true }
const launched = { name: lan.name, mac: lan.mac, bridge: lan.bridge }

/** A broker whose connections a test holds in its hand. */
function aBroker(launch: Partial<LeaseDeps['launch']> = {}) {
  const clock = virtualClock()
  const connections: FarEnd[] = []
  const closed: number[] = []
  const waits: [string, string][] = []
  const powerOffs: string[] = []
  const broker = { up: true }
  const log = recordingLog()
  const stop = new AbortController()
  const deps: LeaseDeps = {
    sockets: {
      connect: () => {
        if (!broker.up) return Promise.reject(new PortError('Unavailable', 'nobody listens'))
        const { near, far } = fakeConnection()
        connections.push(far)
        return Promise.resolve(near)
      },
    },
    socketPath: '/broker/broker.sock',
    launch: { uid, accelerator: 'auto', nics: [{ name: lan.name, mac: lan.mac }], ...launch },
    closeFd: (fd) => closed.push(fd),
    clock,
    log,
    onWaiting: (phase, message) => waits.push([phase, message]),
    onPowerOff: (message) => powerOffs.push(message),
  }
  const last = (): FarEnd => connections.at(-1) ?? expect.fail('nobody has connected')
  return { deps, clock, connections, closed, waits, powerOffs, broker, log, stop, last, acquire: () => acquireLease(deps, stop.signal) }
}

async function held(broker: ReturnType<typeof aBroker>): Promise<Lease> {
  const lease = broker.acquire()
  await settle()
  broker.last().give(granted, [10, 11])
  return lease
}

test('a grant gives KVM first, then the networks', async () => {
  const broker = aBroker()
  const lease = await held(broker)
  expect(broker.last().received.map(({ frame }) => frame['type'])).toEqual(['hello', 'acquire'])
  expect(broker.last().received[0]?.frame).toEqual({ type: 'hello', protocol: 'swarmvirt.broker-runner', version: 1, uid })
  expect(lease.accelerator).toBe('kvm')
  expect(lease.kvmFd).toBe(10)
  expect(lease.nics).toEqual([{ nic: lan, fd: 11, tokenFd: undefined }])
})

test('a NIC with a token has two descriptors, and the token proves the lease', async () => {
  const wan = { ...lan, name: 'wan', tap: 'sv0000000000aa', mac: aMac('52:54:00:00:00:02'), token: true as const }
  const broker = aBroker({ nics: [lan, wan] })
  const acquiring = broker.acquire()
  await settle()
  expect(broker.last().received[1]?.frame).toEqual({ type: 'acquire', tokens: true })
  broker.last().give({ ...granted, kvm: false, accelerator: 'tcg', nics: [wan, lan] }, [20, 21, 22])
  const lease = await acquiring
  expect(lease.nics.map(({ nic, fd, tokenFd }) => [nic.name, fd, tokenFd])).toEqual([
    ['lan', 22, undefined],
    ['wan', 20, 21],
  ])
  lease.keep()
  broker.last().cut()
  await broker.clock.pass(2_000)
  const reclaim = broker.last().received.find(({ frame }) => frame['type'] === 'reclaim')
  expect(reclaim).toMatchObject({ frame: { taps: [lan.tap, wan.tap] }, fds: [22, 21] })
  lease.release()
  expect(broker.closed.toSorted((a, b) => a - b)).toEqual([20, 21, 22])
})

test('a grant with the settings of the launch config is accepted', async () => {
  const settings = { vlan: 20, isolated: true, antiSpoof: 'off' } as const
  const broker = aBroker({ nics: [{ ...launched, ...settings }] })
  const lease = broker.acquire()
  await settle()
  broker.last().give({ ...granted, nics: [{ ...lan, settings }] }, [10, 11])
  expect((await lease).nics).toHaveLength(1)
})

test('networks come in the order of the launch config, whatever the grant says', async () => {
  const wan = { ...lan, name: 'wan', mac: aMac('52:54:00:00:00:02') }
  const broker = aBroker({ nics: [lan, wan] })
  const lease = broker.acquire()
  await settle()
  broker.last().give({ ...granted, kvm: false, accelerator: 'tcg', nics: [wan, lan] }, [21, 20])
  expect((await lease).nics.map(({ nic, fd }) => [nic.name, fd])).toEqual([
    ['lan', 20],
    ['wan', 21],
  ])
})

test('descriptors that arrive before the rest of their frame are kept for it', async () => {
  const broker = aBroker()
  const lease = broker.acquire()
  await settle()
  const text = `${JSON.stringify(granted)}\n`
  broker.last().giveText(text.slice(0, 20), [10, 11])
  broker.last().giveText(text.slice(20))
  expect((await lease).nics[0]?.fd).toBe(11)
})

test('while the broker is away the runner waits, and comes back within a second and a bit', async () => {
  const broker = aBroker()
  broker.broker.up = false
  const lease = broker.acquire()
  await broker.clock.pass(3_600_000)
  expect(broker.waits.at(-1)?.[0]).toBe('WaitingForBroker')
  broker.broker.up = true
  await broker.clock.pass(1_000)
  broker.last().give(granted, [10, 11])
  expect((await lease).alive).toBe(true)
})

test.each([
  ['WaitingForPrevious', 'WaitingForPrevious'],
  ['ImageLocked', 'WaitingForPrevious'],
  ['TapBusy', 'WaitingForPrevious'],
  ['NoGrant', 'WaitingForGrant'],
  ['BridgeMissing', 'WaitingForGrant'],
  ['BridgeMtuTooSmall', 'WaitingForGrant'],
  ['VlanUnavailable', 'WaitingForGrant'],
  ['DeviceMissing', 'WaitingForGrant'],
])('after waiting with %s the phase is %s, and the lease comes later', async (reason, phase) => {
  const broker = aBroker()
  const lease = broker.acquire()
  await settle()
  broker.last().give({ type: 'waiting', reason, message: 'because' })
  await broker.clock.pass(3_600_000)
  expect(broker.waits).toEqual([[phase, 'because']])
  broker.last().give(granted, [10, 11])
  expect((await lease).alive).toBe(true)
})

test('a lease ends if its connection breaks before QEMU has started', async () => {
  const broker = aBroker()
  const lease = await held(broker)
  broker.last().cut()
  await settle()
  expect(lease.alive).toBe(false)
  lease.release()
  expect(broker.closed.toSorted((a, b) => (a < b ? -1 : 1))).toEqual([10, 11])
})

test.each([
  ['another MAC', { ...granted, nics: [{ ...lan, mac: aMac('52:54:00:00:00:09') }] }, {}],
  ['a network too few', { ...granted, nics: [] }, {}],
  ['TCG although KVM is requested', { ...granted, accelerator: 'tcg', kvm: false }, { accelerator: 'kvm' }],
  ['KVM without its device', { ...granted, kvm: false }, {}],
] as const)('a grant with %s starts nothing; its descriptors are closed and the runner asks again', async (_what, message, launch) => {
  const broker = aBroker(launch)
  const lease = broker.acquire()
  await settle()
  const fds = [...(message.kvm ? [10] : []), ...message.nics.map((_, index) => 11 + index)]
  broker.last().give(message, fds)
  await broker.clock.pass(1_000)
  expect(broker.waits.at(-1)?.[0]).toBe('WaitingForGrant')
  expect(broker.closed.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(fds)
  expect(broker.connections.length).toBeGreaterThan(1)
  broker.stop.abort(new Error('enough'))
  await expect(lease).rejects.toThrow('enough')
})

test.each<[string, object, LaunchConfig['nics'][number]]>([
  ['another bridge', lan, { ...launched, bridge: 'br1' }],
  ['no VLAN', lan, { ...launched, vlan: 20 }],
  ['another VLAN', { ...lan, settings: { vlan: 21 } }, { ...launched, vlan: 20 }],
  ['a port that is not isolated', { ...lan, settings: {} }, { ...launched, isolated: true }],
  ['a port without its MAC lock', { ...lan, settings: { antiSpoof: 'off' } }, launched],
  [
    'another mode of a direct NIC',
    { ...lan, bridge: 'eth1', settings: { mode: 'vepa' } },
    { name: lan.name, mac: lan.mac, direct: { device: 'eth1', mode: 'bridge' } },
  ],
])('a grant with %s starts nothing, since the VM was edited while it was off', async (_what, nic, asked) => {
  const broker = aBroker({ nics: [asked] })
  const lease = broker.acquire()
  await settle()
  broker.last().give({ ...granted, nics: [nic] }, [10, 11])
  await broker.clock.pass(1_000)
  expect(broker.waits.at(-1)?.[0]).toBe('WaitingForGrant')
  broker.stop.abort(new Error('enough'))
  await expect(lease).rejects.toThrow('enough')
})

test('a broker that announces more descriptors than it sends is not believed', async () => {
  const broker = aBroker()
  const lease = broker.acquire()
  await settle()
  broker.last().give(granted, [10])
  await settle()
  expect(broker.closed).toEqual([10])
  expect(broker.connections[0]?.closed).toBe(true)
  broker.stop.abort(new Error('enough'))
  await expect(lease).rejects.toThrow('enough')
})

test('a runner that is stopped while it waits ends the wait and keeps nothing', async () => {
  const broker = aBroker()
  const lease = broker.acquire()
  await settle()
  broker.stop.abort(new Error('SIGTERM'))
  await expect(lease).rejects.toThrow('SIGTERM')
  expect(broker.last().closed).toBe(true)
})

test('a request to stop does not cut the lease under a guest that powers off', async () => {
  const broker = aBroker()
  const lease = await held(broker)
  lease.keep()
  broker.stop.abort(new Error('SIGTERM'))
  await settle()
  expect(broker.last().closed).toBe(false)
})

test('a broker that was restarted gets the TAPs as proof, for as long as it takes', async () => {
  const broker = aBroker()
  const lease = await held(broker)
  lease.keep()
  expect(broker.closed).toEqual([10])
  broker.broker.up = false
  broker.last().cut()
  await broker.clock.pass(60_000)
  expect(broker.log.lines.filter(({ level }) => level === 'warn').length).toBeLessThan(4)
  broker.broker.up = true
  await broker.clock.pass(2_000)
  expect(broker.last().received).toMatchObject([{ frame: { type: 'hello' } }, { frame: { type: 'reclaim', taps: [lan.tap] }, fds: [11] }])
  broker.last().give({ type: 'waiting', reason: 'NoGrant', message: 'the agent has not come yet' })
  broker.last().give(reclaimed)
  await settle()
  broker.last().give({ type: 'powerOff', message: 'the host goes down' })
  await settle()
  expect(broker.powerOffs).toEqual(['the host goes down'])
  expect(broker.closed).toEqual([10])
  expect(broker.connections).toHaveLength(2)
  lease.release()
  lease.release()
  expect(broker.closed).toEqual([10, 11])
  await broker.clock.pass(60_000)
  expect(broker.connections).toHaveLength(2)
})

test('messages of a newer broker are passed over', async () => {
  const broker = aBroker()
  const lease = broker.acquire()
  await settle()
  broker.last().give({ type: 'somethingNew', value: 1 })
  broker.last().give(granted, [10, 11])
  expect((await lease).alive).toBe(true)
})

test('A runner names its container to the broker, where it knows it', async () => {
  const broker = aBroker()
  const lease = acquireLease({ ...broker.deps, container: 'aaaaaaaaaaaa' }, broker.stop.signal)
  await settle()
  expect(broker.last().received[0]?.frame).toMatchObject({ type: 'hello', container: 'aaaaaaaaaaaa' })
  broker.stop.abort(new Error('over'))
  await expect(lease).rejects.toThrow('over')
  expect(containerOf('aaaaaaaaaaaa')).toBe('aaaaaaaaaaaa')
  expect(containerOf('node-1.example.org')).toBeUndefined()
})

import { describe, expect, test } from 'vitest'
import { deterministicMac } from '../../../src/api/mac.ts'
import type { ProbeOutcome, ProbeRequest, VmStatus } from '../../../src/api/wire/agent-api.ts'
import type { LeaseFact } from '../../../src/api/wire/broker-admin.ts'
import type { RunnerStatus } from '../../../src/api/wire/runner-control.ts'
import { pickAddress } from '../../../src/reconcilers/reachability/address.ts'
import { reachabilityReconciler } from '../../../src/reconcilers/reachability/index.ts'
import { Cluster } from '../../simulation/cluster.ts'
import { unreached } from '../../simulation/simulated-agents.ts'
import { aMac, aUid, aVmName } from '../../support/branded.ts'
import type { VmUid } from '../../../src/api/names.ts'

const mac = deterministicMac('lab', aVmName('web'), 'lan')
const ip = '192.168.50.42'
const reached: ProbeOutcome = { outcome: 'reached', reason: 'Answered', message: '', mac, rttMs: 0.4 }
const checks = ['GuestRunning', 'LinkAttached', 'AddressLearned', 'Reachable', 'GuestReady'] as const

const runner = {
  phase: 'Running',
  message: '',
  accelerator: 'tcg',
  qemuStatus: 'running',
  launchHash: '',
  release: '0.1.0',
  startedAt: '',
  restarts: 0,
  hardening: { uid: 30702, capEff: '0', capBnd: '0', noNewPrivs: true, seccomp: 2 },
} as const satisfies Omit<RunnerStatus, 'uid'>

const noUid = aUid('00000000-0000-4000-8000-000000000000')

function statusOf(uid: VmUid, changes: Partial<VmStatus> = {}): VmStatus {
  const nic = { name: 'lan', tap: 'sv0123456789ab', bridge: 'br0', mac, carrier: true, attached: true }
  return {
    version: 1,
    uid,
    lease: {
      uid,
      granted: true,
      held: true,
      waiting: 0,
      waitReason: null,
      waitMessage: null,
      guestFilter: { state: 'active', message: '' },
      nics: [nic],
    },
    sightings: [{ mac, ip, via: 'dhcp', interface: 'br0', ageMs: 3_000 }],
    runner: { uid, ...runner },
    runnerMessage: '',
    brokerMessage: '',
    ...changes,
  }
}

/** A VM on n1 whose agent tells `changes`, on a LAN where `answer` comes back. */
async function onTheLan(
  changes: (status: VmStatus) => Partial<VmStatus> = () => ({}),
  answer: (request: ProbeRequest) => ProbeOutcome = () => reached,
  spec: Record<string, unknown> = {},
  hostnames: readonly string[] = ['n1', 'n2', 'n3'],
): Promise<Cluster> {
  const cluster = new Cluster(hostnames)
  for (const agent of cluster.agents.byNode.values()) agent.allowDevices('eth1')
  cluster.declare('web', spec)
  await cluster.converge()
  const uid = cluster.record('web')?.uid ?? noUid
  const status = statusOf(uid)
  cluster.agent('n1').vms.set(uid, { ...status, ...changes(status) })
  for (const agent of cluster.agents.byNode.values()) agent.answer = answer
  await cluster.converge()
  return cluster
}

function all(cluster: Cluster): string[] {
  return checks.map((one) => cluster.said('web', one))
}

test('a guest that another node reached passes all checks, with its facts', async () => {
  const cluster = await onTheLan()
  expect(all(cluster)).toEqual(['True Running', 'True Attached', 'True ByDhcp', 'True Answered', 'True NoProbe'])
  const [uid, task] = [cluster.record('web')?.uid, cluster.swarm.running('vm-web')?.id]
  expect(cluster.facts.get('web')).toEqual({
    uid,
    task,
    node: 'n1',
    createdAt: expect.any(String) as string,
    mac,
    ip,
    accelerator: 'tcg',
    probeNode: 'n2',
  })
  expect(cluster.condition('web', 'AddressLearned')?.message).toContain('192.168.50.42 by DHCP')
})

const expecting = (address: string) => ({ networks: [{ name: 'lan', bridge: 'br0', address }] })

test('an address that the manifest does not expect is shown, with the reservation that is missing, and is not reached', async () => {
  const cluster = await onTheLan(undefined, undefined, expecting('192.168.50.77'))
  expect(all(cluster).slice(1, 4)).toEqual(['True Attached', 'False UnexpectedAddress', 'Unknown WaitingForAddressLearned'])
  const message = cluster.condition('web', 'AddressLearned')?.message
  expect(message).toContain(`${mac} has ${ip} by DHCP`)
  expect(message).toContain(`dhcp-host=${mac},192.168.50.77`)
  expect(cluster.facts.get('web')).toMatchObject({ ip })
  expect(cluster.starts('web')).toBe(1)
})

test('the address that the manifest expects is as good as any, and one that is expected is waited for', async () => {
  expect((await onTheLan(undefined, undefined, expecting(ip))).said('web', 'AddressLearned')).toBe('True ByDhcp')
  const silent = await onTheLan(() => ({ sightings: [] }), undefined, expecting(ip))
  expect(silent.said('web', 'AddressLearned')).toBe('False NotHeard')
})

test.each([
  ['MAC', { networks: [{ name: 'lan', bridge: 'br0', mac: aMac('52:54:00:00:00:99') }] }],
  ['name', { networks: [{ name: 'dmz', bridge: 'br0' }] }],
])('while an edit of the %s of its network waits, the guest is known by the one that it has', async (_what, edit) => {
  for (const held of [true, false]) {
    const cluster = await onTheLan(({ lease }) => ({ lease: lease && { ...lease, held } }))
    const before = all(cluster)
    cluster.declare('web', edit)
    await cluster.converge()
    expect(all(cluster)).toEqual(before)
    expect(cluster.facts.get('web')).toMatchObject({ mac })
  }
})

test('conditions after the first failing check are Unknown', async () => {
  const cluster = await onTheLan(() => ({ sightings: [] }))
  expect(all(cluster)).toEqual([
    'True Running',
    'True Attached',
    'False NotHeard',
    'Unknown WaitingForAddressLearned',
    'Unknown WaitingForAddressLearned',
  ])
})

test('a runner that waits for its predecessor says so', async () => {
  const cluster = await onTheLan(({ uid }) => ({
    runner: { uid, ...runner, phase: 'WaitingForPrevious', qemuStatus: null, message: 'the lease is held' },
  }))
  expect(cluster.condition('web', 'GuestRunning')).toMatchObject({
    status: 'False',
    reason: 'WaitingForPrevious',
    message: 'the lease is held',
  })
})

test('a guest that is paused by a full disk says what to do, also where its runner is of release 0.1', async () => {
  const full = { ...runner, qemuStatus: 'io-error' }
  const said = async (message: string) => {
    const cluster = await onTheLan(({ uid }) => ({ runner: { uid, ...full, message } }))
    return cluster.condition('web', 'GuestRunning')
  }
  expect(await said('the disk is full: it continues')).toMatchObject({
    status: 'False',
    reason: 'DiskFull',
    message: 'on n1 the disk is full: it continues',
  })
  expect(await said('')).toMatchObject({ reason: 'DiskFull', message: expect.stringContaining('restart the VM') as string })
})

test('a paused guest is not running', async () => {
  const cluster = await onTheLan(({ uid }) => ({ runner: { uid, ...runner, qemuStatus: 'paused' } }))
  expect(cluster.said('web', 'GuestRunning')).toBe('False GuestNotRunning')
})

const dmz = deterministicMac('lab', aVmName('web'), 'dmz')
const dmzNic = { name: 'dmz', tap: 'svba9876543210', bridge: 'br0', mac: dmz, carrier: true, attached: true }
const dmzSeen = { mac: dmz, ip: '10.9.0.5', via: 'arp', interface: 'svba9876543210', ageMs: 60_000 } as const

/** A VM whose second network expects an address. */
function withTwoNics(changes: (status: VmStatus) => Partial<VmStatus>): Promise<Cluster> {
  const networks = [
    { name: 'lan', bridge: 'br0' },
    { name: 'dmz', bridge: 'br0', address: '10.9.0.5' },
  ]
  const both = (status: VmStatus): VmStatus => ({
    ...status,
    lease: status.lease && { ...status.lease, nics: [...status.lease.nics, dmzNic] },
  })
  return onTheLan((status) => ({ ...both(status), ...changes(both(status)) }), undefined, { networks })
}

test('a VM with two networks is reached at the first, and shows the NICs of both', async () => {
  const cluster = await withTwoNics(({ sightings }) => ({ sightings: [dmzSeen, ...sightings] }))
  expect(all(cluster)).toEqual(['True Running', 'True Attached', 'True ByDhcp', 'True Answered', 'True NoProbe'])
  expect(cluster.facts.get('web')).toMatchObject({ mac, ip })
  const seenAt = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}Z$/) as string
  expect(cluster.nics.get('web')).toEqual([
    { name: 'lan', bridge: 'br0', mac, address: ip, seenAt },
    { name: 'dmz', bridge: 'br0', mac: dmz, address: '10.9.0.5', seenAt },
  ])
})

test('a second network without an address is no obstacle, and one with another address than the manifest expects is', async () => {
  const silent = await withTwoNics(() => ({}))
  expect(silent.said('web', 'Reachable')).toBe('True Answered')
  expect(silent.nics.get('web')?.[1]).toEqual({ name: 'dmz', bridge: 'br0', mac: dmz })
  const wrong = await withTwoNics(({ sightings }) => ({ sightings: [{ ...dmzSeen, ip: '10.9.0.6' }, ...sightings] }))
  expect(wrong.said('web', 'AddressLearned')).toBe('False UnexpectedAddress')
  expect(wrong.condition('web', 'AddressLearned')?.message).toContain(`${dmz} has 10.9.0.6`)
})

const fixed = (address: string) => ({ networks: [{ name: 'lan', bridge: 'br0', ipv4: { address } }] })

test('a static address is expected as the guest was started with it, and probed before it was seen', async () => {
  const asked: string[] = []
  const answer = (request: ProbeRequest): ProbeOutcome => {
    if ('ip' in request) asked.push(request.ip)
    return reached
  }
  const silent = await onTheLan(() => ({ sightings: [] }), answer, fixed(`${ip}/24`))
  expect(silent.condition('web', 'AddressLearned')).toMatchObject({
    reason: 'NotHeard',
    message: expect.stringContaining('ipv4 needs cloud-init') as string,
  })
  expect(new Set(asked)).toEqual(new Set([ip]))
  const cluster = await onTheLan(undefined, undefined, fixed(`${ip}/24`))
  expect(all(cluster)).toEqual(['True Running', 'True Attached', 'True ByDhcp', 'True Answered', 'True NoProbe'])
  // The edit waits for a restart.
  cluster.declare('web', fixed('192.168.50.77/24'))
  await cluster.converge()
  expect(cluster.said('web', 'Reachable')).toBe('True Answered')
  cluster.declare('web', { networks: [{ name: 'lan', bridge: 'br0', address: '192.168.50.77' }] })
  await cluster.converge()
  expect(cluster.said('web', 'Reachable')).toBe('True Answered')
})

test('a guest with another address than its static one says that cloud-init applies it once', async () => {
  const cluster = await onTheLan(undefined, undefined, fixed('192.168.50.77/24'))
  expect(cluster.said('web', 'AddressLearned')).toBe('False UnexpectedAddress')
  expect(cluster.condition('web', 'AddressLearned')?.message).toContain('cloud-init applies ipv4 at the first boot of an instance')
})

test('a running VM that lacks one of its networks says which', async () => {
  const cluster = await withTwoNics(({ lease }) => ({ lease: lease && { ...lease, nics: lease.nics.slice(0, 1) } }))
  expect(cluster.condition('web', 'LinkAttached')).toMatchObject({ reason: 'NicMissing', message: 'the running VM has no NIC dmz' })
})

test('a TAP without carrier is named', async () => {
  const cluster = await onTheLan(({ lease }) => ({
    lease: lease && { ...lease, nics: lease.nics.map((one) => ({ ...one, carrier: false })) },
  }))
  expect(cluster.condition('web', 'LinkAttached')).toMatchObject({
    status: 'False',
    reason: 'NoCarrier',
    message: expect.stringContaining('sv0123456789ab'),
  })
})

test('an agent that does not answer leaves everything unknown and nothing false', async () => {
  const cluster = await onTheLan()
  cluster.agent('n1').away = true
  await cluster.converge()
  expect(all(cluster)).toEqual(Array(5).fill('Unknown AgentUnreachable'))
})

test('a broker that is away leaves the link unknown', async () => {
  const cluster = await onTheLan(() => ({ lease: null, brokerMessage: 'connect ENOENT' }))
  expect(cluster.said('web', 'LinkAttached')).toBe('Unknown BrokerUnreachable')
})

test('an address that another host answers for is reported as taken, with the MAC', async () => {
  const cluster = await onTheLan(undefined, () => ({ ...reached, mac: aMac('de:ad:be:ef:00:01') }))
  expect(cluster.condition('web', 'Reachable')).toMatchObject({
    status: 'False',
    reason: 'AddressTakenByAnother',
    message: expect.stringContaining('de:ad:be:ef:00:01'),
  })
})

test('a node that is away is not the one that is asked', async () => {
  const cluster = await onTheLan()
  cluster.agent('n2').away = true
  await cluster.round()
  expect(cluster.said('web', 'Reachable')).toBe('True Answered')
  expect(cluster.facts.get('web')?.['probeNode']).toBe('n3')
})

test('without another node nobody can say that the guest is reachable', async () => {
  const cluster = await onTheLan(undefined, undefined, {}, ['n1'])
  expect(cluster.said('web', 'Reachable')).toBe('Unknown NoOtherNode')
})

test('readiness is what the manifest asks for, from the node that probed', async () => {
  const answer = (request: ProbeRequest) => (request.kind === 'arp' || ('port' in request && request.port === 22) ? reached : unreached)
  const open = await onTheLan(undefined, answer, { readiness: { tcp: 22 } })
  expect(open.said('web', 'GuestReady')).toBe('True Answered')
  const closed = await onTheLan(undefined, answer, { readiness: { tcp: 80 } })
  expect(closed.said('web', 'GuestReady')).toBe('False NoAnswer')
})

test('a probe that cannot be made is unknown, not failed', async () => {
  const answer = ({ kind }: ProbeRequest): ProbeOutcome =>
    kind === 'arp' ? reached : { ...unreached, outcome: 'unknown', reason: 'NoAddressOnBridge' }
  const cluster = await onTheLan(undefined, answer, { readiness: { ping: true } })
  expect(cluster.said('web', 'GuestReady')).toBe('Unknown NoAddressOnBridge')
})

test('reachability writes nothing', async () => {
  const cluster = await onTheLan()
  const writes = cluster.swarm.writes
  for (let round = 0; round < 5; round += 1) await cluster.round()
  expect(cluster.swarm.writes).toBe(writes)
})

test('the address is the leased one, then the last seen one, and never one that is only probed for', () => {
  const heard = (address: string, via: 'arp' | 'dhcp', ageMs: number, of = mac) => ({ mac: of, ip: address, via, interface: 'br0', ageMs })
  expect(pickAddress([heard('10.0.0.9', 'arp', 1), heard('10.0.0.1', 'dhcp', 900), heard('10.0.0.2', 'dhcp', 90)], mac)?.ip).toBe(
    '10.0.0.2',
  )
  expect(pickAddress([heard('10.0.0.9', 'arp', 50), heard('10.0.0.8', 'arp', 5)], mac)?.ip).toBe('10.0.0.8')
  expect(
    pickAddress([heard('0.0.0.0', 'arp', 1), heard('169.254.7.7', 'arp', 1), heard('10.0.0.1', 'dhcp', 1, aMac('52:54:00:00:00:01'))], mac),
  ).toBeUndefined()
})

test('a task whose runner waits for its predecessor says so, whichever runner answers on the control socket', async () => {
  const wait = { waiting: 1, waitReason: 'WaitingForPrevious', waitMessage: 'another runner holds the lease' }
  for (const runner of [undefined, null]) {
    const cluster = await onTheLan((status) => ({
      lease: status.lease && { ...status.lease, ...wait },
      ...(runner === null ? { runner, runnerMessage: 'no hello in 2 s' } : {}),
    }))
    expect(cluster.said('web', 'GuestRunning')).toMatch(/False WaitingForPrevious/)
    expect(cluster.said('web', 'Ready')).not.toMatch(/True/)
  }
})

test('an answer before the task has started comes from its predecessor, and proves nothing', async () => {
  const cluster = await onTheLan()
  const task = cluster.swarm.tasks.get(cluster.swarm.running('vm-web')?.id ?? '')
  Object.assign(task ?? {}, { state: 'preparing' })
  await cluster.converge()
  expect(all(cluster).slice(0, 2)).toEqual(['False TaskNotRunning', 'Unknown WaitingForGuestRunning'])
})

test('a running task of the template before proves nothing, neither for the guest nor for its service', async () => {
  const cluster = await onTheLan()
  expect(all(cluster)[0]).toBe('True Running')
  const task = cluster.swarm.tasks.get(cluster.swarm.running('vm-web')?.id ?? '')
  Object.assign(task ?? {}, { configs: ['of-before'] })
  await cluster.converge()
  expect(all(cluster).slice(0, 2)).toEqual(['False TaskNotRunning', 'Unknown WaitingForGuestRunning'])
  expect(cluster.condition('web', 'ServiceReady')).toMatchObject({ status: 'False', reason: 'TaskStarting' })
})

test('a guest that does not boot is reconciled less and less often', async () => {
  const cluster = await onTheLan()
  cluster.agent('n1').away = true
  const wait = async (): Promise<unknown> => (await cluster.run(reachabilityReconciler(cluster.ports()), 'web'))?.next
  expect(await wait()).toEqual({ kind: 'requeueAfter', ms: 1_000 })
  cluster.nowMs += 600_000
  expect(await wait()).toEqual({ kind: 'requeueAfter', ms: 5_000 })
})

test('a guest that nothing filters is Ready, and a condition says what that means', async () => {
  const filter = (guestFilter: LeaseFact['guestFilter']) => (status: VmStatus) => ({
    lease: status.lease && { ...status.lease, guestFilter },
  })
  const cluster = await onTheLan(filter({ state: 'inactive', message: 'nft: Operation not supported' }))
  expect(cluster.condition('web', 'LinkUnfiltered')).toMatchObject({
    status: 'True',
    reason: 'FilterUnavailable',
    message: expect.stringMatching(/n1 .*nft: Operation not supported.*other MAC addresses/),
  })
  expect(all(cluster).every((one) => one.startsWith('True'))).toBe(true)
  expect((await cluster.run(reachabilityReconciler(cluster.ports()), 'web'))?.next).toEqual({ kind: 'requeueAfter', ms: 10_000 })
  expect((await onTheLan()).said('web', 'LinkUnfiltered')).toBe('False Filtered')
  expect((await onTheLan(filter(undefined))).said('web', 'LinkUnfiltered')).toBe('True BrokerOutdated')
})

test('antiSpoof: off is shown, and does not count as a missing filter', async () => {
  const unlocked = (state: 'active' | 'inactive') => (status: VmStatus) => ({
    lease: status.lease && { ...status.lease, guestFilter: { state, message: 'no nft', unlocked: ['lan'] } },
  })
  const cluster = await onTheLan(unlocked('active'))
  expect(cluster.said('web', 'LinkUnfiltered')).toBe('False AntiSpoofOff')
  expect(cluster.condition('web', 'LinkUnfiltered')?.message).toContain('any MAC address on lan')
  expect((await onTheLan(unlocked('inactive'))).condition('web', 'LinkUnfiltered')?.message).not.toContain('MAC')
})

test('a problem of the link is a warning: the VM is Ready all the same', async () => {
  const problem = { reason: 'PortMtuTooSmall', message: 'eth0, a port of br0, has MTU 1400' }
  const cluster = await onTheLan((status) => ({
    lease: status.lease && { ...status.lease, nics: status.lease.nics.map((nic) => ({ ...nic, problem })) },
  }))
  expect(cluster.condition('web', 'LinkDegraded')).toMatchObject({ status: 'True', ...problem })
  expect(all(cluster).every((one) => one.startsWith('True'))).toBe(true)
  expect((await onTheLan()).said('web', 'LinkDegraded')).toBe('False Healthy')
})

test('a guest with a direct NIC is probed from another node with the same device, and its node is said not to reach it', async () => {
  const asked: ProbeRequest[] = []
  const link = { link: 'sm0123456789ab', mode: 'bridge' as const }
  const cluster = await onTheLan(
    (status) => ({
      lease: status.lease && { ...status.lease, nics: status.lease.nics.map((nic) => ({ ...nic, bridge: 'eth1', direct: link })) },
    }),
    (request) => {
      asked.push(request)
      return reached
    },
    { networks: [{ name: 'lan', direct: { device: 'eth1' } }] },
  )
  expect(asked[0]).toMatchObject({ kind: 'arp', bridge: 'eth1' })
  expect(cluster.condition('web', 'LinkAttached')?.message).toContain(
    'directly on eth1 (mode bridge; the node itself cannot reach the guest',
  )
  expect(cluster.condition('web', 'Reachable')).toMatchObject({ status: 'True' })
})

test('a guest in a VLAN is not probed, because the probes of other nodes have no tag', async () => {
  const asked: ProbeRequest[] = []
  const cluster = await onTheLan(
    undefined,
    (request) => {
      asked.push(request)
      return reached
    },
    { networks: [{ name: 'lan', bridge: 'br0', vlan: 20 }] },
  )
  expect(cluster.said('web', 'Reachable')).toBe('Unknown VlanNotProbed')
  expect(asked).toEqual([])
})

test('the probe waits for the answer of the VM, even if another machine answers first', async () => {
  const asked: ProbeRequest[] = []
  await onTheLan(undefined, (request) => {
    asked.push(request)
    return reached
  })
  expect(asked.find(({ kind }) => kind === 'arp')).toMatchObject({ ip, mac })
})

const off = (status: VmStatus): Partial<VmStatus> => ({ lease: status.lease && { ...status.lease, held: false, nics: [] }, runner: null })

test.each<readonly [string, (status: VmStatus) => Partial<VmStatus>, string]>([
  ['a runner holds the lease', () => ({}), 'False Stopping'],
  ['a runner answers without a lease', (status) => ({ ...off(status), runner: status.runner }), 'False Stopping'],
  [
    'a runner waits',
    (status) => ({ runner: null, lease: status.lease && { ...status.lease, held: false, waiting: 1, nics: [] } }),
    'False Stopping',
  ],
  ['a process has the TAP open', (status) => ({ runner: null, lease: status.lease && { ...status.lease, held: false } }), 'False Stopping'],
  ['the broker does not answer', () => ({ runner: null, lease: null, brokerMessage: 'connect ENOENT' }), 'Unknown BrokerUnreachable'],
  ['nothing is left', off, 'False Halted'],
  ['nothing is left and there is no grant', () => ({ runner: null, lease: null }), 'False Halted'],
])('a VM that is declared Halted is off when nothing of it is left on its node: %s', async (_what, changes, said) => {
  const cluster = await onTheLan(changes, () => reached, { runStrategy: 'Halted' })
  expect(all(cluster)).toEqual(checks.map(() => said))
})

describe('a VM that is declared Halted and whose guest nothing stops is not said to shut down', () => {
  const said = (cluster: Cluster): unknown => ({ all: all(cluster), message: cluster.condition('web', 'GuestRunning')?.message })
  const isOn = (reason: string, why: string): unknown => ({
    all: checks.map(() => `False ${reason}`),
    message: expect.stringMatching(`^the manifest says Halted, but the guest is on: its .*${why}`) as string,
  })

  test.each([
    ['the owner', (labels: Record<string, string>) => void (labels['swarmvirt.managed-by'] = 'somebody')],
    ['another uid', (labels: Record<string, string>) => void (labels['swarmvirt.uid'] = '00000000-0000-4000-8000-00000000dead')],
  ])('since somebody changed the labels of its service (%s)', async (_what, change) => {
    const cluster = await onTheLan(
      () => ({}),
      () => reached,
    )
    cluster.swarm.edit('vm-web', (spec) => change(spec['Labels'] as Record<string, string>))
    cluster.declare('web', { runStrategy: 'Halted' })
    await cluster.converge()
    expect(said(cluster)).toEqual(isOn('OwnershipLost', 'swarmvirt leaves the service vm-web alone'))
    expect(cluster.condition('web', 'ServiceReady')?.message).toBe(
      'the manifest says Halted, but swarmvirt does not touch the service and it still has a task',
    )
  })

  test('while it is suspended', async () => {
    const cluster = await onTheLan(
      () => ({}),
      () => reached,
    )
    cluster.declare('web', { runStrategy: 'Halted', annotations: { 'swarmvirt.dev/suspend': 'true' } })
    await cluster.converge()
    expect(said(cluster)).toEqual(isOn('Suspended', 'the VM is suspended by its manifest'))
  })
})

test('whether a VM that is declared Halted is off is not known while its agent is away', async () => {
  const cluster = await onTheLan(off, () => reached, { runStrategy: 'Halted' })
  cluster.agent('n1').away = true
  await cluster.converge()
  expect(cluster.said('web', 'GuestRunning')).toBe('Unknown AgentUnreachable')
})

test.each([
  ['drained', { availability: 'drain' }, 'NodeDrained', /: docker node update --availability active n1$/],
  ['down', { state: 'down' }, 'NodeDown', /docker node ls$/],
] as const)('a node that is %s is the reason why its agent does not answer', async (_what, change, reason, command) => {
  const cluster = await onTheLan()
  cluster.agent('n1').away = true
  cluster.swarm.changeNode('node-n1', change)
  await cluster.converge()
  expect([cluster.said('web', 'AssetsReady'), cluster.said('web', 'GuestRunning')]).toEqual([`Unknown ${reason}`, `Unknown ${reason}`])
  expect(cluster.condition('web', 'AssetsReady')?.message).toMatch(command)
})

test('a drained node is the reason why the service has no task', async () => {
  const cluster = await onTheLan()
  cluster.swarm.changeNode('node-n1', { availability: 'drain' })
  await cluster.converge()
  expect(cluster.said('web', 'ServiceReady')).toBe('False NodeDrained')
})

const containerOf = (cluster: Cluster): string => cluster.swarm.running('vm-web')?.containerId ?? ''

/** web as its predecessor's runner and lease show it, which answer until they have ended. */
async function afterReplacement(reported: (status: VmStatus, own: string) => Partial<VmStatus>): Promise<Cluster> {
  const cluster = await onTheLan()
  const task = cluster.swarm.running('vm-web')
  if (task !== undefined) Object.assign(task, { containerId: 'c'.repeat(64), createdAt: '2026-01-01T00:10:00Z' })
  const [agent, uid] = [cluster.agent('n1'), cluster.record('web')?.uid ?? noUid]
  const status = statusOf(uid)
  agent.vms.set(uid, { ...status, ...reported(status, containerOf(cluster).slice(0, 12)) })
  cluster.facts.delete('web')
  await cluster.converge()
  return cluster
}

test.each<[string, (status: VmStatus, own: string) => Partial<VmStatus>]>([
  ['runner', ({ uid }) => ({ runner: { uid, ...runner, container: 'a'.repeat(12) } })],
  [
    'lease',
    ({ uid, lease }, own) => ({ runner: { uid, ...runner, container: own }, lease: lease && { ...lease, container: 'a'.repeat(12) } }),
  ],
  ['runner without a word', ({ uid }) => ({ runner: { uid, ...runner, container: '' } })],
  ['runner of release 0.1, by its start,', ({ uid }) => ({ runner: { uid, ...runner, startedAt: '2026-01-01T00:08:00Z' } })],
])('the %s of a previous task proves nothing about the task that Swarm runs now', async (_what, reported) => {
  const cluster = await afterReplacement(reported)
  expect(all(cluster)).toEqual(['False PreviousTask', ...Array<string>(4).fill('Unknown WaitingForGuestRunning')])
  expect(cluster.said('web', 'LinkUnfiltered')).toBe('Unknown WaitingForLinkAttached')
  expect(cluster.facts.get('web')).not.toHaveProperty('ip')
})

test.each<[string, (status: VmStatus, own: string) => Partial<VmStatus>]>([
  [
    'by its container',
    ({ uid, lease }, own) => ({ runner: { uid, ...runner, container: own }, lease: lease && { ...lease, container: own } }),
  ],
  ['of release 0.1, whose clock is behind', ({ uid }) => ({ runner: { uid, ...runner, startedAt: '2026-01-01T00:09:30Z' } })],
])("the task's own runner is believed: %s", async (_what, reported) => {
  expect(all(await afterReplacement(reported))[0]).toBe('True Running')
})

const noReply: ProbeOutcome = { outcome: 'unreached', reason: 'NoArpReply', message: 'nothing in 1000 ms', mac: null, rttMs: null }
const noBroker: ProbeOutcome = { outcome: 'unknown', reason: 'BrokerUnavailable', message: 'connect ENOENT', mac: null, rttMs: null }
const refused: ProbeOutcome = { outcome: 'unreached', reason: 'ConnectionRefused', message: 'refused', mac: null, rttMs: null }
const noAddress: ProbeOutcome = { outcome: 'unknown', reason: 'NoAddressOnBridge', message: 'br0 has none', mac: null, rttMs: null }
const tcp = { readiness: { tcp: 80 } }

/** A VM on n1; what each of the other nodes finds by ARP, and of its service. */
async function probedFrom(answers: Readonly<Record<string, readonly [arp: ProbeOutcome, service?: ProbeOutcome]>>): Promise<Cluster> {
  const cluster = await onTheLan(undefined, undefined, tcp, ['n1', ...Object.keys(answers)])
  for (const [hostname, [arp, service = reached]] of Object.entries(answers))
    cluster.agent(hostname).answer = ({ kind }) => (kind === 'arp' ? arp : service)
  await cluster.converge()
  return cluster
}

test.each<readonly [string, Parameters<typeof probedFrom>[0], readonly string[]]>([
  ['whose broker is away', { n2: [noBroker], n3: [reached] }, ['True Answered', 'True Answered']],
  ['that is cut off from the LAN', { n2: [noReply], n3: [reached] }, ['True Answered', 'True Answered']],
  ['that cannot ask the service', { n2: [reached, noAddress], n3: [reached] }, ['True Answered', 'True Answered']],
  ['that the service refuses', { n2: [reached, refused], n3: [reached] }, ['True Answered', 'True Answered']],
  ['whose broker is away, beside one that says no', { n2: [noBroker], n3: [noReply] }, ['False NoArpReply', 'Unknown WaitingForReachable']],
  ['that says no, as another does', { n2: [noReply], n3: [noReply] }, ['False NoArpReply', 'Unknown WaitingForReachable']],
  [
    'that reached the guest only, beside one cut off',
    { n2: [noReply], n3: [reached, refused] },
    ['True Answered', 'False ConnectionRefused'],
  ],
  ['that knows nothing, as nobody does', { n2: [noBroker], n3: [noBroker] }, ['Unknown BrokerUnavailable', 'Unknown WaitingForReachable']],
])('no node decides alone: one %s', async (_what, answers, said) => {
  expect(all(await probedFrom(answers)).slice(3)).toEqual(said)
})

test('a node that does not reach what another one reaches is named, and asked whether it still does not', async () => {
  const cluster = await probedFrom({ n2: [noReply], n3: [reached] })
  expect(cluster.condition('web', 'Reachable')?.message).toMatch(/^n3 reached .*, but n2 did not: check the link of br0 there$/)
  expect(cluster.facts.get('web')).toMatchObject({ probeNode: 'n3', notReachedFrom: 'n2' })
  const plan = await cluster.run(reachabilityReconciler(cluster.ports()), 'web')
  expect(new Set(plan?.cachedAnswers?.map(({ nodeId }) => nodeId)).size).toBe(3)
})

test('another host with the address of the VM is not outvoted', async () => {
  const taken: ProbeOutcome = { ...reached, mac: deterministicMac('lab', aVmName('other'), 'lan') }
  const cluster = await probedFrom({ n2: [noReply], n3: [taken], n4: [reached] })
  expect(cluster.said('web', 'Reachable')).toBe('False AddressTakenByAnother')
})

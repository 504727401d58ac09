import { expect, test } from 'vitest'
import { assetsReconciler } from '../../../src/reconcilers/assets/index.ts'
import { aVm, Cluster } from '../../simulation/cluster.ts'
import type { SimulatedAgent } from '../../simulation/simulated-agents.ts'
import { aNodeId, aUid, aVmName } from '../../support/branded.ts'
import type { VmName, VmUid } from '../../../src/api/names.ts'

const uid = aUid('11111111-2222-4333-8444-555555555555')
const other = aUid('99999999-2222-4333-8444-555555555555')

function withDisk(cluster: Cluster, hostname: string, of: VmUid, vm: VmName | null = aVmName('web')): void {
  const disks = [{ name: 'root', sizeBytes: 2 * 1024 ** 3, allocatedBytes: 4096 }]
  cluster.agent(hostname).held.set(of, { uid: of, vm, cluster: vm === null ? null : 'lab', disks, granted: false })
}

async function placed(): Promise<Cluster> {
  const cluster = new Cluster()
  cluster.declare('web')
  await cluster.converge()
  return cluster
}

test('a new VM gets a uid once, a node, and an order there', async () => {
  const cluster = await placed()
  const record = cluster.record('web')
  expect(record).toMatchObject({ vm: 'web', node: 'node-n1', disksMade: true })
  expect(cluster.agent('n1').orders.get(record?.uid ?? '')).toMatchObject({ vm: 'web', cluster: 'lab', disksMustExist: true })
  expect(cluster.said('web', 'Placed')).toBe('True Placed')
  expect(cluster.said('web', 'AssetsReady')).toBe('True Prepared')
  expect(cluster.condition('web', 'SoftwareEmulation')).toMatchObject({ status: 'True', message: 'no word from the guest in 2 s' })
})

test('VMs are spread', async () => {
  const cluster = new Cluster()
  for (const vm of ['a', 'b', 'c']) cluster.declare(vm)
  await cluster.converge()
  expect(['a', 'b', 'c'].map((vm) => cluster.record(vm)?.node)).toEqual(['node-n1', 'node-n2', 'node-n3'])
})

test('a VM that needs KVM where none works stays unplaced and says why of each node', async () => {
  const cluster = new Cluster(['n1', 'n2'])
  cluster.declare('web', { accelerator: 'kvm' })
  await cluster.converge()
  expect(cluster.record('web')).toBeUndefined()
  expect(cluster.condition('web', 'Placed')).toMatchObject({
    status: 'False',
    reason: 'AcceleratorMissing',
    message:
      'no node fits: n1: accelerator kvm is unusable (KvmHangs: no word from the guest in 2 s); n2: accelerator kvm is unusable (KvmHangs: no word from the guest in 2 s)',
  })
})

test('a missing bridge is named, with those that are there', async () => {
  const cluster = new Cluster(['n1'])
  cluster.declare('web', { networks: [{ name: 'lan', bridge: 'br9' }] })
  await cluster.converge()
  expect(cluster.condition('web', 'Placed')).toMatchObject({ reason: 'BridgeMissing', message: expect.stringContaining('it has br0') })
})

test('a bridge with a smaller MTU than the network needs is named with both', async () => {
  const cluster = new Cluster(['n1'])
  cluster.declare('web', { networks: [{ name: 'lan', bridge: 'br0', mtu: 9_000 }] })
  await cluster.converge()
  const message = expect.stringContaining('n1: bridge br0 has MTU 1500, and network lan needs 9000') as string
  expect(cluster.condition('web', 'Placed')).toMatchObject({ reason: 'BridgeMtuTooSmall', message })
  cluster.declare('web', { networks: [{ name: 'lan', bridge: 'br0', mtu: 1_500 }] })
  await cluster.converge()
  expect(cluster.record('web')).toBeDefined()
  expect(cluster.nics.get('web')).toMatchObject([{ name: 'lan', mtu: 1_500 }])
})

test('a node whose kernel has no VLAN filtering, or whose broker is older, is refused for a network that needs more', async () => {
  const cluster = new Cluster(['n1'])
  const broker = cluster.agent('n1').nodeFacts.broker
  delete broker?.nicFeatures
  cluster.declare('web', { networks: [{ name: 'lan', bridge: 'br0', vlan: 20, isolated: true }] })
  await cluster.converge()
  const outdated = expect.stringContaining(
    'n1: its agent or broker is of an earlier release, which does not support vlan, isolated',
  ) as string
  expect(cluster.condition('web', 'Placed')).toMatchObject({ reason: 'BrokerOutdated', message: outdated })
  Object.assign(broker ?? {}, { nicFeatures: ['vlan', 'isolated'], bridges: [{ ...broker?.bridges[0], vlanFiltering: 'absent' }] })
  await cluster.converge()
  const noVlan = expect.stringContaining('n1: network lan needs VLAN 20 on br0, and the kernel has no VLAN filtering') as string
  expect(cluster.condition('web', 'Placed')).toMatchObject({ reason: 'VlanUnavailable', message: noVlan })
  Object.assign(broker ?? {}, { bridges: [{ ...broker?.bridges[0], vlanFiltering: 'on' }] })
  await cluster.converge()
  const nics = [{ name: 'lan', port: { bridge: 'br0', vlan: 20, isolated: true } }]
  expect([...cluster.agent('n1').grants.values()]).toMatchObject([{ nics }])
})

test('a direct NIC goes to a node that allows its device, and every other one is refused with what helps', async () => {
  const cluster = new Cluster(['n1', 'n2', 'n3'])
  const device = { name: 'eth1', mtu: 1_500, carrier: true, up: true, address: null, problem: '' }
  Object.assign(cluster.agent('n2').nodeFacts.broker ?? {}, { direct: [{ ...device, up: false }] })
  cluster.declare('web', {
    networks: [
      { name: 'wan', direct: { device: 'eth1' } },
      { name: 'lan', bridge: 'br0' },
    ],
  })
  await cluster.converge()
  const message = cluster.condition('web', 'Placed')?.message
  expect(message).toContain('n1: device eth1 is missing or not allowed for direct NICs (it allows none)')
  expect(message).toContain('n2: device eth1 is down; bring it up with: ip link set eth1 up')
  Object.assign(cluster.agent('n3').nodeFacts.broker ?? {}, { direct: [device] })
  await cluster.converge()
  const [order] = cluster.agent('n3').grants.values()
  expect(order?.nics).toMatchObject([
    { name: 'wan', direct: { device: 'eth1', mode: 'bridge' } },
    { name: 'lan', bridge: 'br0' },
  ])
  expect(cluster.swarm.nodes.get(cluster.record('web')?.node ?? '')?.labels).toMatchObject({ 'swarmvirt.device.eth1': 'true' })
})

test('memory that other VMs were promised is not promised again', async () => {
  const cluster = new Cluster(['n1'])
  cluster.declare('a', { memory: '6Gi' })
  cluster.declare('b', { memory: '2Gi' })
  await cluster.converge()
  expect(cluster.condition('b', 'Placed')).toMatchObject({ status: 'False', reason: 'InsufficientMemory' })
})

test('memory beyond every node is no error of the manifest: the VM waits, and says how much each node has', async () => {
  const cluster = new Cluster(['n1', 'n2'])
  cluster.declare('web', { memory: '4Ti' })
  await cluster.converge()
  expect(cluster.condition('web', 'Placed')).toMatchObject({
    status: 'False',
    reason: 'InsufficientMemory',
    message: expect.stringMatching(/^no node fits: n1: .* of 8 GiB memory is free beside 0 VMs, needs 4.0 TiB; n2: /),
  })
})

test('the controller that loses the race for a name takes the identity of the winner', async () => {
  const cluster = new Cluster()
  cluster.declare('web')
  const rival = new TextEncoder().encode(JSON.stringify({ version: 1, uid, vm: 'web', cluster: 'lab' }))
  let once = true
  cluster.swarm.beforeWrite = (what) => {
    if (what !== 'createConfig' || !once) return
    once = false
    const labels = { 'swarmvirt.managed-by': 'swarmvirt', 'swarmvirt.component': 'placement', 'swarmvirt.node': 'node-n2' }
    void cluster.swarm.createConfig('sv-vm-web', labels, rival)
  }
  await cluster.converge()
  expect(cluster.record('web')).toMatchObject({ uid, node: 'node-n2' })
  expect(cluster.record('web')?.config.labels).toMatchObject({ 'swarmvirt.uid': uid, 'swarmvirt.vm': 'web', 'swarmvirt.schema': '1' })
})

test('a disk that is found gives its uid and its node to the VM of its name', async () => {
  const cluster = new Cluster()
  withDisk(cluster, 'n3', uid)
  cluster.declare('web')
  await cluster.converge()
  expect(cluster.record('web')).toMatchObject({ uid, node: 'node-n3', disksMade: true })
})

test('a VM whose preparation was interrupted gets its identity back, and its remaining disks are created', async () => {
  const cluster = new Cluster()
  withDisk(cluster, 'n3', uid)
  const held = cluster.agent('n3').held.get(uid)
  if (held !== undefined) cluster.agent('n3').held.set(uid, { ...held, unfinished: true })
  cluster.declare('web')
  const orders: boolean[] = []
  const agent = cluster.agent('n3')
  const prepare = agent.prepare.bind(agent)
  agent.prepare = (order) => {
    orders.push(order.disksMustExist)
    return prepare(order)
  }
  await cluster.converge()
  expect(cluster.record('web')).toMatchObject({ uid, node: 'node-n3', disksMade: true })
  expect(orders[0]).toBe(false)
})

test('a record whose node has the VM under another uid is removed, and the VM on the node is found', async () => {
  const cluster = new Cluster()
  const agent = cluster.agent('n1')
  cluster.declare('web')
  const prepare = agent.prepare.bind(agent)
  // The other controller's order arrives first.
  agent.prepare = (order) => {
    if (!agent.held.has(other)) withDisk(cluster, 'n1', other)
    if (order.uid === other) return prepare(order)
    return Promise.resolve({ state: 'failed', reason: 'OtherInstance', message: 'this node already has web' })
  }
  await cluster.converge()
  expect(cluster.record('web')).toMatchObject({ uid: other, node: 'node-n1', disksMade: true })
  expect(cluster.said('web', 'AssetsReady')).toBe('True Prepared')
})

test('a record removed by hand is written again as it was, and no disk is made', async () => {
  const cluster = await placed()
  const before = cluster.record('web')
  const starts = cluster.starts('web')
  cluster.swarm.configs.delete(before?.config.id ?? '')
  await cluster.converge()
  expect(cluster.record('web')).toMatchObject({ uid: before?.uid, node: before?.node, disksMade: true })
  expect(cluster.starts('web')).toBe(starts)
})

test('record and service removed while the disk node is away: nothing is made before it can be asked', async () => {
  const cluster = new Cluster()
  cluster.declare('web', { runStrategy: 'Halted' })
  await cluster.converge()
  const before = cluster.record('web')
  cluster.agent('n1').away = true
  cluster.swarm.configs.delete(before?.config.id ?? '')
  cluster.swarm.services.clear()
  await cluster.converge()
  expect(cluster.record('web')).toBeUndefined()
  expect(cluster.condition('web', 'Placed')).toMatchObject({
    status: 'Unknown',
    reason: 'DiskNodeUnknown',
    message: expect.stringContaining('on n1,'),
  })
  cluster.agent('n1').away = false
  await cluster.converge()
  expect(cluster.record('web')).toMatchObject({ uid: before?.uid, node: 'node-n1', disksMade: true })
})

test('a node that never had an agent holds nothing back', async () => {
  const cluster = new Cluster()
  cluster.agent('n2').away = true
  cluster.declare('web')
  await cluster.converge()
  expect(cluster.said('web', 'Placed')).toBe('True Placed')
})

test('a node of a new Swarm whose agent is still to start may hold disks of the old one', async () => {
  const cluster = new Cluster(['n1', 'n2'])
  cluster.agent('n2').away = true
  const labels = { 'swarmvirt.component': 'agent' }
  const anImage = { ContainerSpec: { Image: 'swarmvirt:1' } }
  const id = await cluster.swarm.createService({ Name: 'agents', Labels: labels, Mode: { Global: {} }, TaskTemplate: anImage })
  cluster.swarm.tasks.set('t', {
    id: 't',
    serviceId: id,
    nodeId: aNodeId('node-n2'),
    slot: undefined,
    state: 'starting',
    desiredState: 'shutdown',
    message: '',
    error: '',
    updatedAt: '2026-01-01T00:00:00Z',
    exitCode: undefined,
    containerId: undefined,
    addresses: {},
    template: '',
    constraints: '',
  })
  cluster.declare('web')
  await cluster.converge()
  expect(cluster.said('web', 'Placed')).toBe('Unknown DiskNodeUnknown')
})

test('two disks of one uid, of which one was restored from a backup, are for a person to sort out', async () => {
  const cluster = new Cluster()
  withDisk(cluster, 'n1', uid)
  withDisk(cluster, 'n2', uid)
  cluster.declare('web')
  await cluster.converge()
  expect(cluster.said('web', 'Placed')).toBe('False SeveralDisks')
  expect(cluster.condition('web', 'Placed')?.message).toContain(`${uid} on n1, ${uid} on n2`)
  expect([cluster.record('web'), cluster.agent('n1').orders.size, cluster.agent('n2').orders.size]).toEqual([undefined, 0, 0])
})

test('two disks of one name are for a person to sort out', async () => {
  const cluster = new Cluster()
  withDisk(cluster, 'n1', uid)
  withDisk(cluster, 'n2', other)
  cluster.declare('web')
  await cluster.converge()
  expect(cluster.condition('web', 'Placed')).toMatchObject({
    status: 'False',
    reason: 'SeveralDisks',
    message: expect.stringContaining(`${uid} on n1`),
  })
  expect(cluster.record('web')).toBeUndefined()
})

test('a disk without a readable identity holds back a new VM, until it is claimed by another', async () => {
  const cluster = new Cluster()
  withDisk(cluster, 'n1', uid, null)
  cluster.declare('web')
  await cluster.converge()
  expect(cluster.said('web', 'Placed')).toBe('False UnidentifiedDisk')
})

test('a disk without a readable identity is not claimed if other remains of the VM exist', async () => {
  const cluster = new Cluster(['n1'])
  cluster.declare('web')
  await cluster.converge()
  const { uid: own = '', config } = cluster.record('web') ?? {}
  const held = cluster.agent('n1').held.get(own)
  if (held !== undefined) Object.assign(held, { vm: null, cluster: null })
  // The launch config stays, and begins with the same fields as a record.
  await cluster.swarm.removeService(cluster.swarm.service('vm-web')?.id ?? '')
  await cluster.swarm.removeConfig(config?.id ?? '')
  await cluster.converge()
  expect(cluster.said('web', 'Placed')).toBe('False UnidentifiedDisk')
})

test('while the image arrives AssetsReady says how far it is, and no service is made', async () => {
  const cluster = new Cluster(['n1'])
  cluster.agent('n1').steps = 100
  cluster.declare('web')
  for (let round = 0; round < 4; round += 1) await cluster.round()
  expect(cluster.said('web', 'AssetsReady')).toBe('False CopyingImage')
  expect(cluster.said('web', 'ServiceReady')).toBe('False WaitingForAssets')
  expect(cluster.swarm.service('vm-web')).toBeUndefined()
})

test("an unavailable image is reported with the agent's message and tried again", async () => {
  const cluster = new Cluster(['n1'])
  cluster.agent('n1').refusal = { state: 'failed', reason: 'ImageMissing', message: 'images/tiny.qcow2 is not there' }
  cluster.declare('web')
  await cluster.converge()
  expect(cluster.condition('web', 'AssetsReady')).toMatchObject({
    status: 'False',
    reason: 'ImageMissing',
    message: 'n1: images/tiny.qcow2 is not there',
  })
  cluster.agent('n1').refusal = undefined
  await cluster.converge()
  expect(cluster.said('web', 'AssetsReady')).toBe('True Prepared')
})

test('an agent that is away makes the assets of a running VM unknown and does nothing else', async () => {
  const cluster = await placed()
  cluster.agent('n1').away = true
  await cluster.converge()
  expect(cluster.said('web', 'AssetsReady')).toBe('Unknown AgentUnreachable')
  expect(cluster.said('web', 'ServiceReady')).toBe('True TaskRunning')
})

test('after the disks were made a node that lost them is not given empty ones', async () => {
  const cluster = await placed()
  cluster.agent('n1').held.clear()
  await cluster.converge()
  expect(cluster.said('web', 'AssetsReady')).toBe('False DiskMissing')
  expect(cluster.agent('n1').held.size).toBe(0)
})

test('a removed VM leaves its disk and identity, and a manifest that returns gets them back', async () => {
  const cluster = await placed()
  const before = cluster.record('web')
  cluster.remove('web')
  await cluster.converge()
  expect(cluster.swarm.service('vm-web')).toBeUndefined()
  expect(cluster.record('web')?.retainedAt).toMatch(/^2026-/)
  expect(cluster.agent('n1').held.get(before?.uid ?? '')).toMatchObject({ granted: false, disks: [{ name: 'root' }] })
  expect(cluster.said('web', 'Placed')).toBe('False Retained')
  cluster.declare('web')
  await cluster.converge()
  expect(cluster.record('web')).toMatchObject({ uid: before?.uid, node: 'node-n1', retainedAt: undefined })
  expect(cluster.swarm.running('vm-web')?.nodeId).toBe('node-n1')
})

test('the record says which source the VM is of, and a hand-over writes that and nothing else', async () => {
  const cluster = await placed()
  const of = () => cluster.record('web')?.config.labels['swarmvirt.source']
  const [first, before] = [of(), cluster.swarm.writes]
  cluster.declared.set('web', { ...aVm('web'), source: 'configs' })
  await cluster.converge()
  expect([first, of(), cluster.swarm.writes - before]).toEqual(['directory', 'configs', 1])
  expect(cluster.starts('web')).toBe(1)
})

test('a record of an earlier release gets its source, which is no drift and restarts nothing', async () => {
  const cluster = await placed()
  const record = cluster.record('web')?.config
  if (record === undefined) throw new Error('no record')
  const { 'swarmvirt.source': _source, ...labels } = record.labels
  await cluster.swarm.updateConfigLabels(record, labels)
  await cluster.converge()
  expect(cluster.record('web')?.config.labels['swarmvirt.source']).toBe('directory')
  expect([cluster.corrected, cluster.starts('web')]).toEqual([[], 1])
})

test('a VM that is neither declared nor certainly removed stays unchanged', async () => {
  const cluster = await placed()
  const before = cluster.swarm.writes
  cluster.declared.set('web', { kind: 'unknown', message: 'the directory cannot be read' })
  await cluster.converge()
  expect(cluster.swarm.writes).toBe(before)
})

test('a config of the same name that is not ours is left alone', async () => {
  const cluster = new Cluster()
  await cluster.swarm.createConfig('sv-vm-web', {}, new TextEncoder().encode('mine'))
  cluster.declare('web')
  await cluster.converge()
  expect(cluster.said('web', 'Placed')).toBe('False NameTaken')
})

test('a VM stays with its node whatever happens to the node, and reports it', async () => {
  const cluster = await placed()
  const was = cluster.record('web')
  for (const [change, said] of [
    [{ state: 'down' }, 'which is down'],
    [{ state: 'ready', availability: 'drain' }, 'whose availability is drain'],
  ] as const) {
    cluster.swarm.changeNode('node-n1', change)
    await cluster.converge()
    expect(cluster.condition('web', 'Placed')).toMatchObject({ status: 'True', message: `on n1, ${said} (uid ${was?.uid})` })
  }
  cluster.swarm.nodes.delete('node-n1')
  await cluster.converge()
  expect(cluster.said('web', 'Placed')).toBe('Unknown DiskNodeUnknown')
  expect(cluster.condition('web', 'Placed')?.message).toContain('had disks, but no node has them: bring back their node')
  expect(cluster.record('web')).toMatchObject({ uid: was?.uid, node: 'node-n1' })
})

test('a node that left and joined again under another ID is found by its disk', async () => {
  const cluster = await placed()
  const agent = cluster.agent('n1')
  cluster.swarm.nodes.delete('node-n1')
  cluster.agents.byNode.delete('node-n1')
  cluster.agents.byNode.set(cluster.swarm.addNode('n1b'), agent)
  await cluster.converge()
  expect(cluster.record('web')?.node).toBe('node-n1b')
  expect(cluster.swarm.running('vm-web')?.nodeId).toBe('node-n1b')
})

test('an edit that a node refuses is Stalled, and a disk in use is asked about again', async () => {
  const cluster = new Cluster()
  cluster.declare('web')
  await cluster.converge()
  cluster.agent('n1').refusal = { state: 'failed', reason: 'ImageChangeRefused', message: 'a new image would destroy it' }
  const refused = await cluster.run(assetsReconciler(cluster.ports()), 'web')
  expect(refused?.next).toEqual({ kind: 'stalled', reason: 'ImageChangeRefused', message: 'n1: a new image would destroy it' })
  expect(cluster.said('web', 'AssetsReady')).toBe('False ImageChangeRefused')
  cluster.agent('n1').refusal = { state: 'failed', reason: 'DiskInUse', message: 'the VM is on' }
  expect((await cluster.run(assetsReconciler(cluster.ports()), 'web'))?.next).toEqual({ kind: 'requeueAfter', ms: 2_000 })
})

test('the annotation that allows a disk to be replaced reaches the node, and an order without one is as it ever was', async () => {
  const cluster = new Cluster()
  cluster.declare('web')
  await cluster.converge()
  const uid = cluster.record('web')?.uid ?? ''
  expect(cluster.agent('n1').orders.get(uid)).not.toHaveProperty('replaceDisks')
  const declared = cluster.declared.get('web')
  if (declared?.kind !== 'present') throw new Error('web is not declared')
  const annotations = { 'swarmvirt.dev/replace-disks': 'root=0123456789abcdef' }
  cluster.declared.set('web', { ...declared, vm: { ...declared.vm, metadata: { ...declared.vm.metadata, annotations } } })
  await cluster.converge()
  expect(cluster.agent('n1').orders.get(uid)?.replaceDisks).toEqual([{ disk: 'root', token: '0123456789abcdef' }])
  expect(cluster.starts('web')).toBe(1)
})

/** n1 is listed as down, and its machine joined again as another node, with its disks. */
async function joinedAgain(hostname: string): Promise<{ cluster: Cluster; own: string; again: SimulatedAgent }> {
  const cluster = new Cluster(['n1'])
  cluster.declare('web')
  await cluster.converge()
  cluster.addNode('n2')
  const { uid: own = other } = cluster.record('web') ?? {}
  const held = cluster.agent('n1').held.get(own)
  cluster.agent('n1').away = true
  cluster.swarm.changeNode('node-n1', { state: 'down' })
  cluster.addNode('n1-again')
  Object.assign(cluster.swarm.nodes.get('node-n1-again') ?? {}, { hostname })
  const again = cluster.agent('n1-again')
  if (held !== undefined) again.held.set(own, { ...held, granted: false })
  again.vms.set(own, { version: 1, uid: own, lease: null, sightings: [], runner: null, runnerMessage: '', brokerMessage: '' })
  return { cluster, own, again }
}

test.each(['n1', 'other'])(
  'a machine that joined again as %s is named while its old entry is listed as down, and followed when that is gone',
  async (hostname) => {
    const { cluster, own, again } = await joinedAgain(hostname)
    for (let round = 0; round < 5; round += 1) await cluster.round()
    expect(cluster.said('web', 'Placed')).toBe('False DiskElsewhere')
    expect(cluster.condition('web', 'Placed')?.message).toMatch(
      new RegExp(
        `on ${hostname} under the node ID node-n1-again, .*: docker node rm node-n1; .*swarmvirt.dev/follow-disk: "node-n1-again"$`,
      ),
    )
    expect([cluster.record('web')?.node, again.orders.size]).toEqual(['node-n1', 0])

    cluster.swarm.nodes.delete('node-n1')
    await cluster.converge()
    expect([cluster.record('web')?.node, cluster.record('web')?.uid]).toEqual(['node-n1-again', own])
    expect(cluster.said('web', 'ServiceReady')).toBe('True TaskRunning')
  },
)

test.each(['other', 'node-n1-again'])('its disks are followed past the old entry when the manifest names %s', async (word) => {
  const { cluster, own, again } = await joinedAgain('other')
  cluster.declare('web', { annotations: { 'swarmvirt.dev/follow-disk': word } })
  await cluster.converge()
  expect([cluster.record('web')?.node, cluster.record('web')?.uid]).toEqual(['node-n1-again', own])
  expect(again.orders.get(own)?.disksMustExist).toBe(true)
  expect(cluster.said('web', 'ServiceReady')).toBe('True TaskRunning')
  expect(cluster.swarm.nodes.get('node-n1')?.labels['swarmvirt.vm.web']).toBeUndefined()
})

test.each(['n2', 'node-n1'])('and not where the manifest names %s, on which they were not seen', async (word) => {
  const { cluster } = await joinedAgain('other')
  cluster.declare('web', { annotations: { 'swarmvirt.dev/follow-disk': word } })
  for (let round = 0; round < 5; round += 1) await cluster.round()
  expect(cluster.record('web')?.node).toBe('node-n1')
  expect(cluster.condition('web', 'Placed')?.message).toMatch(new RegExp(`follow-disk names ${word}, but the disks are not there$`))
})

test('nor while a second node has disks of it, or while the node of the record is up', async () => {
  const { cluster, own, again } = await joinedAgain('other')
  cluster.declare('web', { annotations: { 'swarmvirt.dev/follow-disk': 'other' } })
  const held = again.held.get(own)
  if (held !== undefined) cluster.agent('n2').held.set(own, held)
  const status = again.vms.get(own)
  if (status !== undefined) cluster.agent('n2').vms.set(own, status)
  for (let round = 0; round < 5; round += 1) await cluster.round()
  expect(cluster.record('web')?.node).toBe('node-n1')
  expect(cluster.condition('web', 'Placed')?.message).toMatch(
    /other under .* and on n2 under .*; keep the instance directory on one node and move the others away$|n2 under .* and on other .*; keep the instance directory on one node and move the others away$/,
  )

  cluster.agent('n2').held.delete(own)
  cluster.agent('n2').vms.delete(own)
  cluster.swarm.changeNode('node-n1', { state: 'ready' })
  for (let round = 0; round < 5; round += 1) await cluster.round()
  expect([cluster.record('web')?.node, cluster.said('web', 'Placed')]).toEqual(['node-n1', 'True Placed'])
  expect(cluster.condition('web', 'Placed')?.message).toMatch(/; swarmvirt.dev\/follow-disk names other, but the VM is not there: remove/)
})

test('an old copy of a disk does not boot while the machine that has the disk has joined again and is silent', async () => {
  const cluster = new Cluster(['n1', 'n2'])
  cluster.declare('web')
  await cluster.converge()
  const own = cluster.record('web')?.uid ?? other
  withDisk(cluster, 'n2', own)
  cluster.addNode('n1-again')
  const again = cluster.agent('n1-again')
  withDisk(cluster, 'n1-again', own)
  again.away = true
  cluster.swarm.editNodeLabels('node-n1-again', (all) => {
    all['swarmvirt.state'] = 'true'
  })
  cluster.swarm.removeNode('node-n1')
  await cluster.converge()
  expect(cluster.record('web')?.node).toBe('node-n1')
  expect(cluster.condition('web', 'Placed')).toMatchObject({
    status: 'Unknown',
    reason: 'DiskNodeUnknown',
    message: expect.stringMatching(/on n1-again, .*restart the agent.*docker node rm --force/) as string,
  })
  cluster.agent('n2').held.clear()
  again.away = false
  await cluster.converge()
  expect([cluster.record('web')?.node, cluster.record('web')?.uid]).toEqual(['node-n1-again', own])
})

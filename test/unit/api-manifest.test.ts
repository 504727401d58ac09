import { describe, expect, it } from 'vitest'
import { parseVirtualMachine } from '../../src/api/manifest.ts'
import { brokenRules } from '../../src/api/manifest/rules.ts'

function document(change: (vm: { metadata: Record<string, unknown>; spec: Record<string, unknown> }) => void = () => undefined): unknown {
  const vm = {
    apiVersion: 'swarmvirt.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name: 'web' } as Record<string, unknown>,
    spec: {
      memory: '2Gi',
      disks: [{ name: 'root', size: '20Gi', image: { source: 'images/debian.qcow2' } }],
      networks: [{ name: 'lan', bridge: 'br0' }],
    } as Record<string, unknown>,
  }
  change(vm)
  return vm
}

function issuesOf(change: Parameters<typeof document>[0]): string[] {
  const parsed = parseVirtualMachine(document(change))
  return parsed.ok ? [] : parsed.issues.map((issue) => `${issue.code} ${issue.path.join('.')}: ${issue.message}`)
}

const web = { name: 'web', guest: 80 }
function setUser(vm: { spec: Record<string, unknown> }, user: object, others: object = {}): void {
  vm.spec['networks'] = [{ name: 'm', user, ...others }]
}
const blank = { name: 'data', size: '1Gi' }

describe('a VirtualMachine manifest', () => {
  it('needs little and fills in the rest, sizes in bytes', () => {
    const parsed = parseVirtualMachine(document())
    expect(parsed.ok && parsed.vm.spec).toEqual({
      runStrategy: 'Always',
      cpu: { cores: 1 },
      memory: 2 * 1024 ** 3,
      accelerator: 'auto',
      updatePolicy: 'OnRestart',
      disks: [{ name: 'root', size: 20 * 1024 ** 3, image: { source: 'images/debian.qcow2' } }],
      networks: [{ name: 'lan', bridge: 'br0', mac: 'auto' }],
      cloudInit: { sshAuthorizedKeys: [] },
    })
  })

  it('has a generation that is the hash of what was written: defaults written out make another one, the order of keys does not', () => {
    const plain = parseVirtualMachine(document())
    const reordered = parseVirtualMachine(document((vm) => (vm.spec = Object.fromEntries(Object.entries(vm.spec).toReversed()))))
    const explicit = parseVirtualMachine(document((vm) => (vm.spec['runStrategy'] = 'Always')))
    expect(reordered.ok && reordered.generation).toBe(plain.ok && plain.generation)
    expect(explicit.ok && explicit.generation).not.toBe(plain.ok && plain.generation)
  })

  it.each<[string, Parameters<typeof document>[0], RegExp]>([
    ['an unknown field', (vm) => (vm.spec['cpus'] = 2), /^VM012 spec\.cpus: unknown field/],
    ['a missing field', (vm) => delete vm.spec['memory'], /^VM011 spec\.memory: field "spec.memory" is missing/],
    ['a name with upper case', (vm) => (vm.metadata['name'] = 'Web'), /^VM010 metadata\.name/],
    ['a name of 51 characters', (vm) => (vm.metadata['name'] = 'x'.repeat(51)), /^VM010 metadata\.name: .*50 characters/],
    ['a quantity that is none', (vm) => (vm.spec['memory'] = '2 gigs'), /^VM010 spec\.memory: "2 gigs" is not a quantity/],
    ['memory as a number', (vm) => (vm.spec['memory'] = 2048), /^VM010 spec\.memory/],
    ['too little memory', (vm) => (vm.spec['memory'] = '1Mi'), /^VM010 spec\.memory: 1Mi is less than the minimum/],
    ['an image outside of images/', (vm) => setImage(vm, { source: '/etc/shadow' }), /^VM010 spec\.disks\.0\.image\.source/],
    ['an image that climbs', (vm) => setImage(vm, { source: 'images/../../etc/shadow' }), /^VM010 spec\.disks\.0\.image\.source/],
    ['a hidden image', (vm) => setImage(vm, { source: 'images/.x' }), /^VM010 spec\.disks\.0\.image\.source/],
    ['a file URL', (vm) => setImage(vm, { source: 'file:///etc/shadow' }), /^VM010 spec\.disks\.0\.image\.source/],
    [
      'a static address without prefix length',
      (vm) => setNetwork(vm, { ipv4: { address: '10.0.0.5' } }),
      /^VM010 spec\.networks\.0\.ipv4\.address: "10\.0\.0\.5" is not an IPv4 address with a prefix length/,
    ],
    [
      'a static address beside one from DHCP',
      (vm) => setNetwork(vm, { address: '10.0.0.5', ipv4: { address: '10.0.0.5/24' } }),
      /^VM013 spec\.networks\.0\.address: address and ipv4 do not go together/,
    ],
    ['a URL without sha256', (vm) => setImage(vm, { source: 'https://x.example/a.qcow2' }), /^VM011 spec\.disks\.0\.image\.sha256/],
    ['a multicast MAC', (vm) => setMac(vm, '01:00:5e:00:00:01'), /^VM010 spec\.networks\.0\.mac/],
    [
      'a bridge name that is an option',
      (vm) => (vm.spec['networks'] = [{ name: 'lan', bridge: '-x' }]),
      /^VM010 spec\.networks\.0\.bridge/,
    ],
    ['a VLAN that does not exist', (vm) => setNetwork(vm, { vlan: 4_095 }), /^VM010 spec\.networks\.0\.vlan/],
    [
      'network data beside a static address',
      ({ spec }) => {
        spec['networks'] = [{ name: 'lan', bridge: 'br0', ipv4: { address: '10.0.0.5/24' } }]
        spec['cloudInit'] = { networkData: 'version: 2' }
      },
      /^VM013 spec\.cloudInit\.networkData: networkData and ipv4 of a network do not go together/,
    ],
    ['an MTU behind NAT', (vm) => setUser(vm, {}, { mtu: 1_400 }), /^VM013 spec\.networks\.0\.mtu: mtu does not go with user/],
    ['a bridge beside NAT', (vm) => setUser(vm, {}, { bridge: 'br0' }), /^VM013 spec\.networks\.0\.user: user and bridge/],
    ['an SSH port that is none', (vm) => setUser(vm, { ssh: 'on' }), /^VM010 spec\.networks\.0\.user\.ssh: not auto, off or a port/],
    ['a port of no protocol', (vm) => setUser(vm, { ports: [{ name: 'a', guest: 1, protocol: 'sctp' }] }), /^VM010 .*\.ports\.0\.protocol/],
    ['a forwarded port twice', (vm) => setUser(vm, { ports: [web, { ...web, name: 'b' }] }), /^VM013 .*\.ports\.1\.guest: port 80\/tcp of/],
    ['port 22 beside ssh', (vm) => setUser(vm, { ssh: 'auto', ports: [{ name: 'a', guest: 22 }] }), /^VM013 .*\.guest: port 22\/tcp of/],
    [
      'a published port twice',
      (vm) => setUser(vm, { ssh: 80, ports: [{ ...web, published: 80 }] }),
      /^VM013 .*\.published: port 80\/tcp is/,
    ],
    [
      'a port with the name of another',
      (vm) => setUser(vm, { ports: [web, { ...web, guest: 81 }] }),
      /^VM013 .*\.name: there is a port "web"/,
    ],
    ['a port with the name of the SSH port', (vm) => setUser(vm, { ports: [{ ...web, name: 'ssh' }] }), /^VM013 .*\.name: there is a port/],
    [
      'a direct NIC in passthru mode',
      (vm) => (vm.spec['networks'] = [{ name: 'wan', direct: { device: 'eth1', mode: 'passthru' } }]),
      /^VM010 spec\.networks\.0\.direct\.mode/,
    ],
    [
      'a setting of bridges on a direct NIC',
      (vm) => (vm.spec['networks'] = [{ name: 'wan', direct: { device: 'eth1' }, antiSpoof: 'off' }]),
      /^VM013 spec\.networks\.0\.antiSpoof/,
    ],
    ['a run strategy nobody knows', (vm) => (vm.spec['runStrategy'] = 'Sometimes'), /^VM010 spec\.runStrategy/],
    ['a CPU model that QEMU does not know', (vm) => (vm.spec['cpu'] = { model: 'Skylake' }), /^VM010 spec\.cpu\.model: QEMU 10.0 has no/],
    [
      'too many virtual CPUs',
      (vm) => (vm.spec['cpu'] = { cores: 64, sockets: 8 }),
      /^VM013 spec\.cpu: 64 cores × 8 sockets × 1 threads are 512 virtual CPUs, and a guest has at most 256/,
    ],
    ['a priority, which Swarm does not have', (vm) => (vm.spec['resources'] = { priority: 1 }), /^VM012 spec\.resources\.priority/],
    [
      'too little overhead',
      (vm) => (vm.spec['resources'] = { memoryOverhead: '1Mi' }),
      /^VM010 spec\.resources\.memoryOverhead: 1Mi is less/,
    ],
    [
      'a kernel outside of images/',
      (vm) => (vm.spec['firmware'] = { kernel: { image: '/vmlinuz' } }),
      /^VM010 spec\.firmware\.kernel\.image/,
    ],
    ['placement', (vm) => (vm.spec['placement'] = {}), /^VM020 spec\.placement/],
    ['a deletion policy nobody knows', (vm) => (vm.spec['deletionPolicy'] = 'Destroy'), /^VM010 spec\.deletionPolicy/],
    [
      'an http path with a line break',
      (vm) => (vm.spec['readiness'] = { http: { port: 80, path: '/ HTTP/1.1\r\nX: y' } }),
      /^VM010 spec\.readiness/,
    ],
    ['a readiness probe of two kinds', (vm) => (vm.spec['readiness'] = { ping: true, tcp: 22 }), /^VM010 spec\.readiness/],
    [
      'nine networks',
      (vm) => (vm.spec['networks'] = Array.from({ length: 9 }, (_, index) => ({ name: `n${index}`, bridge: 'br0' }))),
      /^VM010 spec\.networks/,
    ],
    ['no disk', (vm) => (vm.spec['disks'] = []), /^VM010 spec\.disks/],
    ['a network without a mode', (vm) => (vm.spec['networks'] = [{ name: 'lan' }]), /^VM011 spec\.networks\.0\.bridge/],
    [
      'a disk without a size',
      (vm) => (vm.spec['disks'] = [{ name: 'root', image: { source: 'images/a' } }]),
      /^VM011 spec\.disks\.0\.size/,
    ],
    ['two disks with one name', (vm) => (vm.spec['disks'] = [blank, blank]), /^VM013 spec\.disks\.1\.name: .*"data" already/],
    [
      'a seventeenth disk',
      (vm) => (vm.spec['disks'] = Array.from({ length: 17 }, (_, index) => ({ ...blank, name: `d${index}` }))),
      /^VM010 spec\.disks: .*16/,
    ],
    ['an image of a registry', (vm) => setImage(vm, { source: 'oci://registry.example/debian:13' }), /^VM020 .*source: oci:\/\/ is not/],
    ['an address that is none', (vm) => setNetwork(vm, { address: '192.168.50' }), /^VM010 spec\.networks\.0\.address: .* not an IPv4/],
    ['an update policy nobody knows', (vm) => (vm.spec['updatePolicy'] = 'Now'), /^VM010 spec\.updatePolicy/],
    [
      'a cloud-init instance that cannot be part of a path',
      (vm) => (vm.metadata['annotations'] = { 'swarmvirt.dev/cloud-init-instance': '../2' }),
      /^VM010 metadata\.annotations\.swarmvirt\.dev\/cloud-init-instance: "\.\.\/2" is not a valid value/,
    ],
    [
      'an empty cloud-init instance',
      (vm) => (vm.metadata['annotations'] = { 'swarmvirt.dev/cloud-init-instance': '' }),
      /^VM010 metadata\.annotations/,
    ],
    ['a class name in upper case', (vm) => (vm.spec['class'] = 'Small'), /^VM010 spec\.class/],
  ])('refuses %s with one issue at its place', (_what, change, wanted) => {
    const issues = issuesOf(change)
    expect(issues).toHaveLength(1)
    expect(issues[0]).toMatch(wanted)
  })

  it('says of two fields that exclude each other, and of names that are there twice, where the second one stands', () => {
    const rules = (change: Parameters<typeof document>[0]): string[] => issuesOf(change).filter((issue) => !issue.startsWith('VM020'))
    const twice = { name: 'a', bridge: 'br0' }
    expect(rules((vm) => (vm.spec['networks'] = [twice, twice]))).toEqual([expect.stringMatching(/^VM013 spec\.networks\.1\.name/)])
    expect(brokenRules(document((vm) => setNetwork(vm, { user: {} })))).toMatchObject([
      { code: 'VM013', path: ['spec', 'networks', 0, 'user'] },
    ])
    expect(brokenRules(document((vm) => (vm.spec['firmware'] = { secureBoot: true })))).toMatchObject([
      { code: 'VM013', path: ['spec', 'firmware', 'secureBoot'] },
    ])
  })

  it('reports all errors at once, also beside unsupported fields', () => {
    const issues = issuesOf((vm) => {
      vm.spec['placement'] = {}
      vm.spec['cpus'] = 2
      vm.spec['memory'] = 'much'
    })
    expect(issues.map((issue) => issue.slice(0, 5))).toEqual(['VM020', 'VM010', 'VM012'])
  })

  it('names the VM of a document that is wrong elsewhere, and none where the name itself is wrong', () => {
    const wrongSpec = parseVirtualMachine(document((vm) => (vm.spec['cpus'] = 2)))
    const wrongName = parseVirtualMachine(document((vm) => (vm.metadata['name'] = '../x')))
    expect(!wrongSpec.ok && wrongSpec.name).toBe('web')
    expect(!wrongName.ok && wrongName.name).toBeUndefined()
  })

  it.each<unknown>([null, 1, 'text', [], {}, { spec: null }, { metadata: [], spec: 3 }, { constructor: 'x' }, { toString: 'x' }])(
    'refuses %j without throwing',
    (value) => {
      expect(parseVirtualMachine(value).ok).toBe(false)
    },
  )

  it('reads MACs in any usual spelling', () => {
    const parsed = parseVirtualMachine(document((vm) => setMac(vm, '52-54-00-AB-CD-EF')))
    expect(parsed.ok && parsed.vm.spec.networks[0]?.mac).toBe('52:54:00:ab:cd:ef')
  })
})

function setImage(vm: { spec: Record<string, unknown> }, image: Record<string, unknown>): void {
  vm.spec['disks'] = [{ name: 'root', size: '1Gi', image }]
}

function setNetwork(vm: { spec: Record<string, unknown> }, fields: Record<string, unknown>): void {
  vm.spec['networks'] = [{ name: 'lan', bridge: 'br0', ...fields }]
}

function setMac(vm: { spec: Record<string, unknown> }, mac: string): void {
  vm.spec['networks'] = [{ name: 'lan', bridge: 'br0', mac }]
}

import { expect, test } from 'vitest'
import { differences } from '../../src/api/manifest/differences.ts'
import { effectOf, machineAbout } from '../../src/api/manifest/fields.ts'
import { withoutSecrets } from '../../src/api/manifest/hidden.ts'
import type { VirtualMachine } from '../../src/api/manifest.ts'
import { diffRunning } from '../../src/cli/declare/diff.ts'
import { inspection } from '../../src/controller/api/dry-run.ts'
import { aVm, Cluster, type SpecChanges } from '../simulation/cluster.ts'
import { virtualClock } from '../unit/controller/virtual-clock.ts'

const [before, after] = ['a'.repeat(64), 'b'.repeat(64)]
const disk = { name: 'root', size: '2Gi', image: { source: 'images/tiny.qcow2' } }
const kernel = { image: 'images/vmlinuz' }
const lan = { name: 'lan', bridge: 'br0' }
const ipv4 = { address: '10.0.0.5/24', gateway: '10.0.0.1', nameservers: ['10.0.0.1'] }
const ofDisk = (changes: object): SpecChanges => ({ disks: [{ ...disk, ...changes }] })
const withDrive = (cdrom: object): SpecChanges => ({ disks: [disk, { name: 'tools', cdrom }] })
const ofNetwork = (changes: object): SpecChanges => ({ networks: [{ ...lan, ...changes }] })

const behindNat = (user: object): SpecChanges => ({ networks: [{ name: 'lan', user }] })
const forwarding = (changes: object): SpecChanges =>
  behindNat({ ports: [{ name: 'web', guest: 80, published: 8_080, protocol: 'tcp', ...changes }] })

interface Edited {
  readonly from?: SpecChanges
  readonly to?: SpecChanges
  readonly metadata?: Partial<VirtualMachine['metadata']>
}

function ofDirect(direct: object): SpecChanges {
  return { networks: [{ name: 'wan', direct }] }
}

/** One edit of each supported field. A field without a value of its own is represented by a field inside it. */
const edits: Readonly<Record<string, Edited>> = {
  'metadata.labels': { metadata: { labels: { tier: 'front' } } },
  'metadata.annotations': { metadata: { annotations: { note: 'x' } } },
  'spec.runStrategy': { to: { runStrategy: 'Halted' } },
  'spec.class': { to: { class: 'small' } },
  'spec.cpu.cores': { to: { cpu: { cores: 2 } } },
  'spec.cpu.sockets': { to: { cpu: { sockets: 2 } } },
  'spec.cpu.threads': { to: { cpu: { threads: 2 } } },
  'spec.cpu.model': { to: { cpu: { model: 'max' } } },
  'spec.memory': { to: { memory: '1Gi' } },
  'spec.firmware.mode': { to: { firmware: { mode: 'uefi' } } },
  'spec.firmware.secureBoot': { from: { firmware: { mode: 'uefi' } }, to: { firmware: { mode: 'uefi', secureBoot: true } } },
  'spec.firmware.tpm': { to: { firmware: { tpm: true } } },
  'spec.firmware.kernel.image': { from: { firmware: { kernel } }, to: { firmware: { kernel: { image: 'images/new' } } } },
  'spec.firmware.kernel.initrd': { from: { firmware: { kernel } }, to: { firmware: { kernel: { ...kernel, initrd: 'images/i' } } } },
  'spec.firmware.kernel.args': { from: { firmware: { kernel } }, to: { firmware: { kernel: { ...kernel, args: 'quiet' } } } },
  'spec.resources.memoryOverhead': { to: { resources: { memoryOverhead: '300Mi' } } },
  'spec.resources.cpuLimit': { to: { resources: { cpuLimit: 1.5 } } },
  'spec.accelerator': { to: { accelerator: 'tcg' } },
  'spec.updatePolicy': { to: { updatePolicy: 'Restart' } },
  'spec.deletionPolicy': { to: { deletionPolicy: 'Delete' } },
  'spec.disks.*.name': { to: ofDisk({ name: 'other' }) },
  'spec.disks.*.size': { to: ofDisk({ size: '4Gi' }) },
  'spec.disks.*.limits.iops': { to: ofDisk({ limits: { iops: 100 } }) },
  'spec.disks.*.limits.bandwidth': { to: ofDisk({ limits: { bandwidth: '10Mi' } }) },
  'spec.networks.*.state': { to: ofNetwork({ state: 'down' }) },
  'spec.memoryTarget': { to: { memoryTarget: '64Mi' } },
  'spec.disks.*.cdrom.path': { from: withDrive({ path: 'isos/a.iso' }), to: withDrive({ path: 'isos/b.iso' }) },
  'spec.console.serial': { to: { console: { serial: true } } },
  'spec.console.vnc': { to: { console: { vnc: true } } },
  'spec.watchdog.action': { to: { watchdog: {} } },
  'spec.disks.*.bus': { to: ofDisk({ bus: 'scsi' }) },
  'spec.disks.*.readOnly': { to: ofDisk({ readOnly: true }) },
  'spec.disks.*.image.source': { to: ofDisk({ image: { source: 'images/other.qcow2' } }) },
  'spec.disks.*.image.sha256': {
    from: ofDisk({ image: { source: 'images/tiny.qcow2', sha256: before } }),
    to: ofDisk({ image: { source: 'images/tiny.qcow2', sha256: after } }),
  },
  'spec.networks.*.name': { to: ofNetwork({ name: 'dmz' }) },
  'spec.networks.*.bridge': { to: ofNetwork({ bridge: 'br1' }) },
  'spec.networks.*.mac': { to: ofNetwork({ mac: '52:54:00:00:00:99' }) },
  'spec.networks.*.mtu': { to: ofNetwork({ mtu: 1_400 }) },
  'spec.networks.*.vlan': { to: ofNetwork({ vlan: 20 }) },
  'spec.networks.*.isolated': { to: ofNetwork({ isolated: true }) },
  'spec.networks.*.direct.device': { from: ofDirect({ device: 'eth1' }), to: ofDirect({ device: 'eth2' }) },
  'spec.networks.*.direct.mode': { from: ofDirect({ device: 'eth1' }), to: ofDirect({ device: 'eth1', mode: 'private' }) },
  'spec.networks.*.antiSpoof': { to: ofNetwork({ antiSpoof: 'off' }) },
  'spec.networks.*.ipv4.address': { from: ofNetwork({ ipv4 }), to: ofNetwork({ ipv4: { ...ipv4, address: '10.0.0.6/24' } }) },
  'spec.networks.*.ipv4.gateway': { from: ofNetwork({ ipv4 }), to: ofNetwork({ ipv4: { ...ipv4, gateway: '10.0.0.2' } }) },
  'spec.networks.*.ipv4.nameservers': { from: ofNetwork({ ipv4 }), to: ofNetwork({ ipv4: { ...ipv4, nameservers: ['10.0.0.2'] } }) },
  'spec.networks.*.fallback': { to: ofNetwork({ fallback: 'user' }) },
  'spec.networks.*.user.ssh': { from: behindNat({}), to: behindNat({ ssh: 2_222 }) },
  'spec.networks.*.user.ports.*.name': { from: forwarding({}), to: forwarding({ name: 'http' }) },
  'spec.networks.*.user.ports.*.guest': { from: forwarding({}), to: forwarding({ guest: 81 }) },
  'spec.networks.*.user.ports.*.published': { from: forwarding({}), to: forwarding({ published: 8_081 }) },
  'spec.networks.*.user.ports.*.protocol': { from: forwarding({}), to: forwarding({ protocol: 'udp' }) },
  'spec.networks.*.address': { to: ofNetwork({ address: '192.168.50.9' }) },
  'spec.cloudInit.userData': { to: { cloudInit: { userData: '#cloud-config\n{}\n' } } },
  'spec.cloudInit.networkData': { to: { cloudInit: { networkData: 'version: 2\n' } } },
  'spec.cloudInit.sshAuthorizedKeys': { to: { cloudInit: { sshAuthorizedKeys: [`ssh-ed25519 ${key()} me`] } } },
  'spec.readiness.ping': { to: { readiness: { ping: true } } },
  'spec.readiness.tcp': { to: { readiness: { tcp: 22 } } },
  'spec.readiness.http.port': { to: { readiness: { http: { port: 80 } } } },
  'spec.readiness.http.path': { to: { readiness: { http: { port: 80, path: '/live' } } } },
  'spec.readiness.guestAgent': { to: { readiness: { guestAgent: true } } },
  'spec.readiness.exec.command': { to: { readiness: { exec: { command: ['/bin/true'] } } } },
  'spec.terminationGracePeriod': { to: { terminationGracePeriod: '30s' } },
  'spec.readiness.ssh': { to: { readiness: { ssh: 22 } } },
}

function key(): string {
  const type = Buffer.from('ssh-ed25519')
  return Buffer.concat([Buffer.from([0, 0, 0, type.length]), type, Buffer.from([0, 0, 0, 32]), Buffer.alloc(32, 7)]).toString('base64')
}

/** Fields that can be edited: they work, and nothing is inside them. */
function editable(): string[] {
  const all = [...machineAbout()]
  const later = all.filter(([, about]) => about.notYet === true).map(([path]) => path)
  const works = all.map(([path]) => path).filter((path) => later.every((one) => path !== one && !path.startsWith(`${one}.`)))
  const leaves = works.filter((path) => !works.some((other) => other.startsWith(`${path}.`)))
  return leaves.filter((path) => !['', 'apiVersion', 'kind', 'metadata.name'].includes(path))
}

function vmOf(spec: SpecChanges = {}, metadata: Partial<VirtualMachine['metadata']> = {}): VirtualMachine {
  const { vm } = aVm('web', spec)
  return { ...vm, metadata: { ...vm.metadata, ...metadata } }
}

function patternsOf(found: readonly { readonly path: string }[]): string[] {
  return found.map(({ path }) => path.replaceAll(/\[\d+\]/g, '.*').replaceAll(/\[".*?"\]/g, ''))
}

test('each field that works has an edit here', () => {
  expect(Object.keys(edits).toSorted()).toEqual(editable().toSorted())
})

const effectAt = (path: string) => effectOf(machineAbout(), path.split('.'))

test.each(Object.entries(edits))('an edit of %s is a difference of the manifests', (path, { from, to, metadata }) => {
  const found = patternsOf(differences(withoutSecrets(vmOf(from)), vmOf(to ?? from, metadata)))
  expect(found.some((one) => one === path || one.startsWith(`${path}.`))).toBe(true)
})

// A live edit causes no difference from the running VM. A class is shown by the fields that it sets.
const lasting = Object.entries(edits).filter(([path]) => effectAt(path) !== 'live' && path !== 'spec.class')

test.each(lasting)('an edit of %s is in the plan, whatever its effect', async (path, { from, to }) => {
  const cluster = new Cluster()
  for (const agent of cluster.agents.byNode.values()) agent.allowDevices('eth1', 'eth2')
  cluster.declare('web', from)
  await cluster.converge()
  cluster.declare('web', to ?? from)
  const plan = await inspection({ ...cluster.ports(), clock: virtualClock(), view: { vm: () => undefined } }).plan('web')
  if (plan === undefined) throw new Error('web is not known')
  expect(plan.edits.find((one) => patternsOf([one])[0] === path)?.effect).toBe(effectAt(path))
  expect(diffRunning([plan], 'text')).toMatchObject({ exit: 1 })
})

import { describe, expect, test } from 'vitest'
import { editEffects } from '../../../src/api/manifest/about.ts'
import { cloudInitInstanceAnnotation } from '../../../src/api/manifest/annotations.ts'
import { effectOf, machineAbout } from '../../../src/api/manifest/fields.ts'
import { parseVirtualMachine, type VirtualMachine } from '../../../src/api/manifest.ts'
import { prepareOrderFor } from '../../../src/reconcilers/assets/order.ts'
import type { GrownDisk } from '../../../src/api/wire/agent-api.ts'
import { editsBetween, restartHash, type WantedVm } from '../../../src/reconcilers/services/restart-inputs.ts'
import type { PlacementRecord } from '../../../src/reconcilers/shared/placement-record.ts'
import { settings } from '../../simulation/cluster.ts'
import { started, wantedBy } from './started.ts'
import { serviceOf } from '../../support/branded.ts'

type Document = Record<'metadata' | 'spec', Record<string, unknown>>
interface Case {
  /** The spec of the VM before the edit, beyond the minimum. */
  readonly before?: (document: Document) => void
  readonly edit: (document: Document) => void
  readonly classAfter?: Record<string, unknown>
  /** The node's answer to the edit. */
  readonly grown?: readonly GrownDisk[]
}

const uid = '00000000-0000-4000-8000-000000000001'
const record = { uid, vm: 'web', disksMade: true } as PlacementRecord
const kernel = { image: 'images/vmlinuz' }
const small = { name: 'small', spec: { memory: '1Gi' } }

function plain(): Document {
  const disks = [{ name: 'root', size: '2Gi', image: { source: 'images/a.qcow2' } }]
  return { metadata: { name: 'web' }, spec: { memory: '512Mi', disks, networks: [{ name: 'lan', bridge: 'br0' }] } }
}
function put(key: string, value: unknown): (document: Document) => void {
  return ({ spec }) => void (spec[key] = value)
}
function putDisk(change: Record<string, unknown>): (document: Document) => void {
  return ({ spec }) => void (spec['disks'] = (spec['disks'] as object[]).map((one) => ({ ...one, ...change })))
}
function putDrive(path: string): (document: Document) => void {
  return ({ spec }) => void (spec['disks'] = [...(spec['disks'] as object[]).slice(0, 1), { name: 'tools', cdrom: { path } }])
}
function putNetwork(change: Record<string, unknown>): (document: Document) => void {
  return ({ spec }) => void (spec['networks'] = (spec['networks'] as object[]).map((one) => ({ ...one, ...change })))
}

/** Instead of a bridge. */
function putUser(user: Record<string, unknown>): (document: Document) => void {
  return put('networks', [{ name: 'lan', user }])
}
function putPort(change: Record<string, unknown>): (document: Document) => void {
  return putUser({ ports: [{ name: 'web', guest: 80, published: 8_080, protocol: 'tcp', ...change }] })
}

/** An edit of every field that is accepted. A field that is new has to be added here. */
const cases: Readonly<Record<string, Case>> = {
  'metadata.name': { edit: ({ metadata }) => void (metadata['name'] = 'web-2') },
  'metadata.labels': { edit: ({ metadata }) => void (metadata['labels'] = { app: 'web' }) },
  'metadata.annotations': { edit: ({ metadata }) => void (metadata['annotations'] = { note: 'mine' }) },
  'spec.runStrategy': { edit: put('runStrategy', 'Halted') },
  'spec.class': {
    before: ({ spec }) => void (delete spec['memory'], (spec['class'] = 'small')),
    edit: put('class', 'large'),
    classAfter: { memory: '4Gi' },
  },
  'spec.cpu.cores': { edit: put('cpu', { cores: 2 }) },
  'spec.cpu.sockets': { edit: put('cpu', { sockets: 2 }) },
  'spec.cpu.threads': { edit: put('cpu', { threads: 2 }) },
  'spec.cpu.model': { edit: put('cpu', { model: 'qemu64' }) },
  'spec.memory': { edit: put('memory', '1Gi') },
  'spec.firmware.mode': { edit: put('firmware', { mode: 'uefi' }) },
  'spec.firmware.secureBoot': { before: put('firmware', { mode: 'uefi' }), edit: put('firmware', { mode: 'uefi', secureBoot: true }) },
  'spec.firmware.tpm': { edit: put('firmware', { tpm: true }) },
  'spec.firmware.kernel.image': {
    before: put('firmware', { kernel }),
    edit: put('firmware', { kernel: { ...kernel, image: 'images/new' } }),
  },
  'spec.firmware.kernel.initrd': {
    before: put('firmware', { kernel }),
    edit: put('firmware', { kernel: { ...kernel, initrd: 'images/i' } }),
  },
  'spec.firmware.kernel.args': { before: put('firmware', { kernel }), edit: put('firmware', { kernel: { ...kernel, args: 'quiet' } }) },
  'spec.resources.memoryOverhead': { edit: put('resources', { memoryOverhead: '300Mi' }) },
  'spec.resources.cpuLimit': { edit: put('resources', { cpuLimit: 0.5 }) },
  'spec.accelerator': { edit: put('accelerator', 'tcg') },
  'spec.deletionPolicy': { edit: put('deletionPolicy', 'Delete') },
  'spec.updatePolicy': { edit: put('updatePolicy', 'Restart') },
  'spec.disks.*.name': { edit: putDisk({ name: 'main' }) },
  'spec.disks.*.size': {
    edit: putDisk({ size: '3Gi' }),
    grown: [{ name: 'root', createdBytes: 2 * 1024 ** 3, sizeBytes: 3 * 1024 ** 3 }],
  },
  'spec.disks.*.limits.iops': { edit: putDisk({ limits: { iops: 100 } }) },
  'spec.disks.*.limits.bandwidth': { edit: putDisk({ limits: { bandwidth: '10Mi' } }) },
  'spec.networks.*.state': { edit: putNetwork({ state: 'down' }) },
  'spec.memoryTarget': { edit: put('memoryTarget', '256Mi') },
  'spec.disks.*.cdrom.path': { before: putDrive('isos/a.iso'), edit: putDrive('isos/b.iso') },
  'spec.console.serial': { edit: put('console', { serial: true }) },
  'spec.console.vnc': { edit: put('console', { vnc: true }) },
  'spec.watchdog.action': { edit: put('watchdog', {}) },
  'spec.disks.*.bus': { edit: putDisk({ bus: 'scsi' }) },
  'spec.disks.*.readOnly': { edit: putDisk({ readOnly: true }) },
  'spec.disks.*.image.source': { edit: putDisk({ image: { source: 'images/b.qcow2' } }) },
  'spec.disks.*.image.sha256': { edit: putDisk({ image: { source: 'images/a.qcow2', sha256: 'a'.repeat(64) } }) },
  'spec.networks.*.name': { before: putNetwork({ mac: '52:54:00:00:00:01' }), edit: putNetwork({ name: 'wan' }) },
  'spec.networks.*.bridge': { edit: putNetwork({ bridge: 'br1' }) },
  'spec.networks.*.mac': { edit: putNetwork({ mac: '52:54:00:00:00:02' }) },
  'spec.networks.*.mtu': { edit: putNetwork({ mtu: 1_400 }) },
  'spec.networks.*.vlan': { edit: putNetwork({ vlan: 20 }) },
  'spec.networks.*.isolated': { edit: putNetwork({ isolated: true }) },
  'spec.networks.*.direct.device': {
    before: ({ spec }) => void (spec['networks'] = [{ name: 'wan', direct: { device: 'eth1' } }]),
    edit: putNetwork({ direct: { device: 'eth2' } }),
  },
  'spec.networks.*.direct.mode': {
    before: ({ spec }) => void (spec['networks'] = [{ name: 'wan', direct: { device: 'eth1' } }]),
    edit: putNetwork({ direct: { device: 'eth1', mode: 'vepa' } }),
  },
  'spec.networks.*.antiSpoof': { edit: putNetwork({ antiSpoof: 'off' }) },
  'spec.networks.*.ipv4.address': {
    before: putNetwork({ ipv4: { address: '10.0.0.5/24' } }),
    edit: putNetwork({ ipv4: { address: '10.0.0.6/24' } }),
  },
  'spec.networks.*.ipv4.gateway': {
    before: putNetwork({ ipv4: { address: '10.0.0.5/24' } }),
    edit: putNetwork({ ipv4: { address: '10.0.0.5/24', gateway: '10.0.0.1' } }),
  },
  'spec.networks.*.ipv4.nameservers': {
    before: putNetwork({ ipv4: { address: '10.0.0.5/24' } }),
    edit: putNetwork({ ipv4: { address: '10.0.0.5/24', nameservers: ['10.0.0.1'] } }),
  },
  'spec.networks.*.fallback': { edit: putNetwork({ fallback: 'user' }) },
  'spec.networks.*.user.ssh': { before: putUser({ ssh: 'off' }), edit: putUser({ ssh: 2_222 }) },
  'spec.networks.*.user.ports.*.name': { before: putPort({}), edit: putPort({ name: 'http' }) },
  'spec.networks.*.user.ports.*.guest': { before: putPort({}), edit: putPort({ guest: 81 }) },
  'spec.networks.*.user.ports.*.published': { before: putPort({}), edit: putPort({ published: 8_081 }) },
  'spec.networks.*.user.ports.*.protocol': { before: putPort({}), edit: putPort({ protocol: 'udp' }) },
  'spec.networks.*.address': { edit: putNetwork({ address: '192.168.50.42' }) },
  'spec.cloudInit.userData': { edit: put('cloudInit', { userData: '#cloud-config' }) },
  'spec.cloudInit.networkData': { edit: put('cloudInit', { networkData: 'version: 2\n' }) },
  'spec.cloudInit.sshAuthorizedKeys': {
    edit: put('cloudInit', { sshAuthorizedKeys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqM6Q0i7Kt5i0v8v0R3k7v7m0bq0o6v8Qw0t6wWm3xk me'] }),
  },
  'spec.readiness.ping': { edit: put('readiness', { ping: true }) },
  'spec.readiness.tcp': { edit: put('readiness', { tcp: 22 }) },
  'spec.readiness.http.port': { edit: put('readiness', { http: { port: 80, path: '/' } }) },
  'spec.readiness.http.path': { edit: put('readiness', { http: { port: 80, path: '/' } }) },
  'spec.readiness.guestAgent': { edit: put('readiness', { guestAgent: true }) },
  'spec.readiness.exec.command': { edit: put('readiness', { exec: { command: ['/bin/true'] } }) },
  'spec.terminationGracePeriod': { edit: put('terminationGracePeriod', '30s') },
  'spec.readiness.ssh': { edit: put('readiness', { ssh: 22 }) },
}

function parsed(document: Document, under?: Parameters<typeof parseVirtualMachine>[1]): VirtualMachine {
  const result = parseVirtualMachine({ apiVersion: 'swarmvirt.dev/v1alpha1', kind: 'VirtualMachine', ...document }, under)
  if (!result.ok) throw new Error(JSON.stringify(result.issues))
  return result.vm
}

function beforeAndAfter({ before, edit, classAfter }: Case): readonly [VirtualMachine, VirtualMachine] {
  const document = plain()
  before?.(document)
  const vm = parsed(document, classAfter && small)
  edit(document)
  return [vm, parsed(document, classAfter && { name: 'large', spec: classAfter })]
}

/** The fields that a running VM is shown to differ in. */
function shownEdits(before: VirtualMachine, after: WantedVm): readonly string[] {
  return editsBetween(started(before), after).map(({ path }) => path.replaceAll(/\[\d+\]/g, '.*'))
}
function orderedDisks(vm: VirtualMachine): unknown {
  // Every disk here may grow, and become read-only.
  return prepareOrderFor(settings, vm, record, undefined).disks.map(({ sizeBytes: _sizeBytes, readOnly: _readOnly, ...rest }) => rest)
}

/** Refused fields, and what holds others, aside. */
function acceptedFields(): readonly string[] {
  const about = machineAbout()
  const isRefused = (path: string): boolean => [...about].some(([one, { notYet }]) => notYet === true && `${path}.`.startsWith(`${one}.`))
  const holdsOthers = (path: string): boolean => [...about.keys()].some((one) => one.startsWith(`${path}.`))
  return [...about].flatMap(([path, { effect }]) => (effect === undefined || isRefused(path) || holdsOthers(path) ? [] : [path]))
}

describe('what the schema says that an edit does is what it does', () => {
  test('for every field that is accepted', () => {
    expect(Object.keys(cases).toSorted()).toEqual(acceptedFields().toSorted())
  })

  test.each(Object.entries(cases))('%s', (path, one) => {
    const [before, after] = beforeAndAfter(one)
    const wanted = { ...wantedBy(after), grown: one.grown }
    const seen = {
      restarts: restartHash(wantedBy(before)) !== restartHash(wanted),
      shown: shownEdits(before, wanted),
      destroys: JSON.stringify(orderedDisks(before)) !== JSON.stringify(orderedDisks(after)),
      recreates: serviceOf(before.metadata.name) !== serviceOf(after.metadata.name),
    }
    const { restarts, shown, destroys, recreates } = seen
    switch (machineAbout().get(path)?.effect) {
      case 'live':
        return expect(seen).toEqual({ restarts: false, shown: [], destroys: false, recreates: false })
      case 'restart':
      case 'first-boot':
        // A class is shown by the fields that it gives.
        expect(shown).toEqual([path === 'spec.class' ? 'spec.memory' : path])
        return expect({ restarts, destroys, recreates }).toEqual({ restarts: true, destroys: false, recreates: false })
      case 'destroys-data':
        // The node refuses it, so it must not restart anything either.
        return expect(seen).toEqual({ restarts: false, shown: [], destroys: true, recreates: false })
      case 'recreate':
        return expect(recreates).toBe(true)
      default:
        throw new Error(`${path} does not say what an edit does`)
    }
  })

  test.each(['110s', '1m50s', '109500ms'])('the default grace period written as %s restarts nothing', (value) => {
    const document = plain()
    put('terminationGracePeriod', value)(document)
    expect(restartHash(wantedBy(parsed(document)))).toBe(restartHash(wantedBy(parsed(plain()))))
  })

  test('a new value of cloud-init-instance restarts, and alone makes the guest another instance', () => {
    const instance = (vm: VirtualMachine): string => started(vm).launch.cloudInit.instanceId
    const numbered = (value: string): VirtualMachine => {
      const document = plain()
      document.metadata['annotations'] = { [cloudInitInstanceAnnotation]: value }
      return parsed(document)
    }
    expect([parsed(plain()), numbered('2'), numbered('3')].map(instance)).toEqual([uid, `${uid}-2`, `${uid}-3`])
    expect(new Set([parsed(plain()), numbered('2'), numbered('3')].map((vm) => restartHash(wantedBy(vm)))).size).toBe(3)
    expect(effectOf(machineAbout(), ['metadata', 'annotations', cloudInitInstanceAnnotation])).toBe('restart')
    for (const path of ['spec.cloudInit.userData', 'spec.cloudInit.sshAuthorizedKeys']) {
      const [before, after] = beforeAndAfter(cases[path] as Case)
      expect(instance(after)).toBe(instance(before))
    }
  })

  test('a static address without DNS servers shows none', () => {
    const [without, fixed] = beforeAndAfter({ edit: putNetwork({ ipv4: { address: '10.0.0.5/24' } }) })
    expect(shownEdits(without, wantedBy(fixed))).toEqual(['spec.networks.*.ipv4.address'])
    expect(shownEdits(fixed, wantedBy(without))).toEqual(['spec.networks.*.ipv4.address'])
  })

  test('and what holds fields says the strongest of theirs', () => {
    const about = [...machineAbout()]
    const strength = (path: string): number[] =>
      about.flatMap(([one, { effect }]) => (one.startsWith(path) && effect !== undefined ? [editEffects.indexOf(effect)] : []))
    const wrong = about.filter(([path, { effect }]) => {
      const inner = strength(`${path}.`)
      return effect !== undefined && inner.length > 0 && editEffects.indexOf(effect) !== Math.max(...inner)
    })
    expect(wrong.map(([path]) => path)).toEqual([])
  })
})

import { describe, expect, it } from 'vitest'
import { manifestReader } from '../../../src/adapters/manifest/manifest-yaml.ts'
import { differences } from '../../../src/api/manifest/differences.ts'
import { withoutSecrets } from '../../../src/api/manifest/hidden.ts'
import type { VirtualMachine } from '../../../src/api/manifest.ts'
import type { VmPlan } from '../../../src/api/wire/plan.ts'
import { diffManifests, diffRunning } from '../../../src/cli/declare/diff.ts'
import { planText } from '../../../src/cli/declare/plan.ts'
import { manifest } from '../../e2e/support.ts'
import { aVm } from '../../simulation/cluster.ts'

function aPlan(changes: Partial<VmPlan> = {}): VmPlan {
  return { name: 'web', suspended: null, steps: [], edits: [], editsTakeHold: 'restart', waitsFor: '', unknown: [], ...changes }
}

const memory = { path: 'spec.memory', from: '1 GiB', to: '2 GiB', effect: 'restart' } as const
const update = { verb: 'change', object: 'service vm-web', why: 'the manifest changed', guest: 'restarts' } as const

describe('plan', () => {
  it('says of nothing to do that there is nothing to do', () => {
    expect(planText(aPlan())).toBe('web: nothing to do\n')
  })

  it('says what restarts the guest, with the edits that it applies', () => {
    expect(planText(aPlan({ steps: [update], edits: [memory], editsTakeHold: 'now' }))).toBe(
      'web: 1 change, restarts the guest\n' +
        '  ~ service vm-web   restarts the guest   the manifest changed\n' +
        '  edits that these changes apply\n' +
        '    spec.memory   1 GiB → 2 GiB   restart\n',
    )
  })

  it('names the command that applies what waits', () => {
    expect(planText(aPlan({ edits: [memory] }))).toBe(
      'web: nothing to do; 1 edit waits\n' +
        '  edits; those marked restart are applied by: docker service update --force vm-web\n' +
        '    spec.memory   1 GiB → 2 GiB   restart\n',
    )
  })

  it('says how to have cloud-init run again, unless the manifest already asks for it', () => {
    const userData = { path: 'spec.cloudInit.userData', from: undefined, to: undefined, effect: 'first-boot' } as const
    const instance = {
      path: 'metadata.annotations["swarmvirt.dev/cloud-init-instance"]',
      from: undefined,
      to: '2',
      effect: 'restart',
    } as const
    const text = planText(aPlan({ edits: [userData] }))
    expect(text).toContain('    spec.cloudInit.userData   changed   first-boot\n')
    expect(text).toContain('add a new value of swarmvirt.dev/cloud-init-instance to metadata.annotations\n')
    expect(planText(aPlan({ edits: [instance, userData] }))).not.toContain('add a new value')
  })

  it('of a suspended VM shows what resuming it would do, and what is unknown', () => {
    const text = planText(aPlan({ suspended: 'suspended by docker vm suspend: …', steps: [update], unknown: ['which disks n1 has'] }))
    expect(text).toMatch(/^web: suspended; on resume: 1 change, restarts the guest\n/)
    expect(text).toContain('  unknown: which disks n1 has\n')
  })

  it('prints nothing that a terminal would obey', () => {
    expect(planText(aPlan({ waitsFor: '\u001b[2J' }))).not.toContain('\u001b')
  })
})

const web = aVm('web', {
  memory: '1Gi',
  cloudInit: {
    userData: 'password: hunter2',
    sshAuthorizedKeys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqM6Q0i7Kt5i0v8v0R3k7v7m0bq0o6v8Qw0t6wWm3xk me'],
  },
}).vm

function changed(spec: Record<string, unknown>): VirtualMachine {
  return aVm('web', {
    memory: '1Gi',
    cloudInit: {
      userData: 'password: hunter2',
      sshAuthorizedKeys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqM6Q0i7Kt5i0v8v0R3k7v7m0bq0o6v8Qw0t6wWm3xk me'],
    },
    ...spec,
  }).vm
}

describe('differences of two manifests', () => {
  it('are none between a manifest and itself as the controller shows it', () => {
    expect(differences(JSON.parse(JSON.stringify(withoutSecrets(web))) as VirtualMachine, web)).toEqual([])
  })

  it.each<[string, Record<string, unknown>, object]>([
    ['a size', { memory: '2Gi' }, { path: 'spec.memory', from: '1 GiB', to: '2 GiB', effect: 'restart' }],
    ['a size that looks the same', { memory: '1073741825' }, { path: 'spec.memory', from: '1 GiB', to: '1073741825 B' }],
    ['what runs on', { runStrategy: 'Halted' }, { path: 'spec.runStrategy', from: 'Always', to: 'Halted', effect: 'live' }],
    ['what is new', { readiness: { tcp: 22 } }, { path: 'spec.readiness.tcp', from: undefined, to: '22', effect: 'live' }],
    [
      'a disk',
      { disks: [{ name: 'root', size: '4Gi', image: { source: 'images/tiny.qcow2' } }] },
      { path: 'spec.disks[0].size', from: '2 GiB', to: '4 GiB', effect: 'live' },
    ],
    [
      'a bridge',
      { networks: [{ name: 'lan', bridge: 'br1' }] },
      { path: 'spec.networks[0].bridge', from: 'br0', to: 'br1', effect: 'restart' },
    ],
    ['user data', { cloudInit: { ...web.spec.cloudInit, userData: 'x: y' } }, { path: 'spec.cloudInit.userData', effect: 'first-boot' }],
  ])('name %s with what it was, what it is to be, and what the edit does', (_what, spec, edit) => {
    expect(differences(withoutSecrets(web), changed(spec))).toMatchObject([edit])
  })

  it('of user data and keys are only that they changed', () => {
    const edits = differences(withoutSecrets(web), changed({ cloudInit: { userData: 'password: letmein', sshAuthorizedKeys: [] } }))
    expect(edits.map(({ path, from, to }) => [path, from, to])).toEqual([
      ['spec.cloudInit.sshAuthorizedKeys', undefined, undefined],
      ['spec.cloudInit.userData', undefined, undefined],
    ])
    expect(JSON.stringify(edits)).not.toMatch(/hunter2|letmein|AAAA|sha256/)
  })

  it('say of the annotation that has cloud-init run again that it restarts', () => {
    const again = { ...web, metadata: { ...web.metadata, annotations: { 'swarmvirt.dev/cloud-init-instance': '2' } } }
    expect(differences(web, again)).toMatchObject([
      { path: 'metadata.annotations["swarmvirt.dev/cloud-init-instance"]', effect: 'restart' },
    ])
  })

  it('say of a disk that is added or removed that no data is destroyed, and of another image that it is', () => {
    const root = { name: 'root', size: '2Gi', image: { source: 'images/tiny.qcow2' } }
    const disksOf = (...disks: readonly object[]) => aVm('web', { disks }).vm
    const [one, two] = [disksOf(root), disksOf(root, { name: 'data', size: '1Gi' })]
    expect(differences(one, two).map(({ path, effect }) => [path, effect])).toEqual([
      ['spec.disks[1].name', 'restart'],
      ['spec.disks[1].size', 'restart'],
    ])
    expect(differences(two, one).map(({ effect }) => effect)).toEqual(['restart', 'restart'])
    expect(differences(one, disksOf({ ...root, image: { source: 'images/b' } }))).toMatchObject([{ effect: 'destroys-data' }])
  })

  it('say of a new order of the disks, and of one that leaves the middle, that no data is destroyed', () => {
    const root = { name: 'root', size: '2Gi', image: { source: 'images/tiny.qcow2' } }
    const [data, tools] = [
      { name: 'data', size: '1Gi' },
      { name: 'tools', size: '3Gi' },
    ]
    const disksOf = (...disks: readonly object[]) => aVm('web', { disks }).vm
    const shown = (from: VirtualMachine, to: VirtualMachine) => differences(from, to).map((one) => [one.path, one.from, one.to, one.effect])
    expect(shown(disksOf(root, data, tools), disksOf(root, tools, data))).toEqual([
      ['spec.disks', 'root, data, tools', 'root, tools, data', 'restart'],
    ])
    expect(shown(disksOf(root, data, tools), disksOf(root, tools))).toEqual([
      ['spec.disks[2].name', 'data', undefined, 'restart'],
      ['spec.disks[2].size', '1 GiB', undefined, 'restart'],
    ])
    expect(shown(disksOf(root, data), disksOf(root, { ...data, name: 'store' }))).toEqual([
      ['spec.disks[1].name', 'data', 'store', 'destroys-data'],
    ])
  })

  it('quote a label whose name is not a plain word', () => {
    const labelled = { ...web, metadata: { ...web.metadata, labels: { 'a.b/c': 'x' } } }
    expect(differences(web, labelled)).toEqual([{ path: 'metadata.labels["a.b/c"]', from: undefined, to: 'x', effect: 'live' }])
  })
})

function read(...texts: readonly string[]) {
  const documents = texts.flatMap((text, index) => manifestReader()('directory', `${index}.yaml`, Buffer.from(text)))
  return [{ source: 'directory', complete: true, message: '', documents }]
}

function holding(vm: VirtualMachine, plan = aPlan()) {
  return {
    manifest: async (name: string) => {
      return name === vm.metadata.name ? { name, generation: '', source: 'directory', manifest: withoutSecrets(vm) } : undefined
    },
    plan: async () => plan,
  }
}

function parsed(text: string): VirtualMachine {
  const [document] = read(text)[0]?.documents ?? []
  if (document === undefined || !('vm' in document)) throw new Error('no VM')
  return document.vm
}

describe('diff of manifests', () => {
  const held = holding(parsed(manifest('web')))

  it('is silent and exits with 0 where nothing differs', async () => {
    expect(await diffManifests(held, read(manifest('web')), [], 'text')).toEqual({ exit: 0, out: '', err: '' })
  })

  it('exits with 1 where a VM is new or changed, and shows which', async () => {
    const given = read(manifest('web', { memory: '256Mi' }), manifest('db'))
    expect(await diffManifests(held, given, [], 'text')).toEqual({
      exit: 1,
      out: '~ web\n    spec.memory   192 MiB → 256 MiB   restart\n+ db: new\n',
      err: '',
    })
  })

  it('exits with 2 where a manifest is wrong, and asks nothing', async () => {
    const asked = { manifest: () => Promise.reject(new Error('asked')), plan: () => Promise.reject(new Error('asked')) }
    const outcome = await diffManifests(asked, read(manifest('web').replace('memory', 'memry')), [], 'text')
    expect(outcome).toMatchObject({ exit: 2, out: '' })
    expect(outcome.err).toContain('unknown field "memry"')
  })

  it.each([
    ['restart', undefined],
    ['live', true],
  ] as const)('says %s for an edit that QEMU takes, where the plan says that of its QEMU', async (effect, liveEdits) => {
    const api = holding(parsed(manifest('web')), aPlan(liveEdits === undefined ? {} : { liveEdits }))
    const { out } = await diffManifests(api, read(manifest('web', { size: '2Gi' })), [], 'text')
    expect(out).toMatch(new RegExp(`^~ web\\n    spec\\.disks\\[0\\]\\.size .* ${effect}\\n$`))
  })

  it('gives the same as JSON', async () => {
    const { exit, out } = await diffManifests(held, read(manifest('web', { memory: '256Mi' })), [], 'json')
    expect(exit).toBe(1)
    expect(JSON.parse(out)).toMatchObject({ different: true, virtualMachines: [{ name: 'web', change: 'changed' }] })
  })
})

describe('diff of what runs', () => {
  it('exits with 1 while an edit waits, and with 0 when none does', () => {
    expect(diffRunning([aPlan({ edits: [memory] })], 'text')).toEqual({
      exit: 1,
      out: '~ web\n    spec.memory   1 GiB → 2 GiB   restart\n',
      err: '',
    })
    expect(diffRunning([aPlan()], 'text')).toEqual({ exit: 0, out: '', err: '' })
  })
})

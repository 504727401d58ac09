import { describe, expect, it } from 'vitest'
import { manifestConfigs } from '../../../src/adapters/manifest/manifest-configs.ts'
import { PortError } from '../../../src/ports/errors.ts'
import type { SourceDocument, SourceSnapshot } from '../../../src/api/manifest/source-documents.ts'
import { resolveClasses } from '../../../src/api/manifest/resolve-classes.ts'
import type { SwarmConfig } from '../../../src/ports/swarm.ts'

const start = Date.parse('2026-01-01T00:00:00Z')
const byCli = { 'swarmvirt.applied-by': 'docker-vm' }

function manifest(name: string, memory = '512Mi'): string {
  const disks = [{ name: 'root', size: '1Gi', image: { source: 'images/tiny.qcow2' } }]
  const spec = { memory, disks, networks: [{ name: 'lan', bridge: 'br0' }] }
  return `${JSON.stringify({ apiVersion: 'swarmvirt.dev/v1alpha1', kind: 'VirtualMachine', metadata: { name }, spec })}\n`
}
const broken = (name: string): string => manifest(name).replace('"disks"', '"cups": 1, "disks"')

/** A VM that leaves its memory to a class. */
function classed(name: string): string {
  return manifest(name).replace('"memory":"512Mi"', '"class":"small"')
}
function smallClass(memory: string): string {
  return `${JSON.stringify({ apiVersion: 'swarmvirt.dev/v1alpha1', kind: 'VirtualMachineClass', metadata: { name: 'small' }, spec: { memory } })}\n`
}

/** Configs as a Swarm lists them; each is made a second after the one before. */
class Configs {
  readonly all: SwarmConfig[] = []
  failing: unknown

  add(name: string, text: string | Uint8Array, more: { readonly labels?: Record<string, string>; readonly createdAt?: string } = {}): this {
    const data = typeof text === 'string' ? new TextEncoder().encode(text) : text
    const createdAt = more.createdAt ?? new Date(start + this.all.length * 1_000).toISOString()
    const labels = { 'swarmvirt.manifest': 'true', ...more.labels }
    this.all.push({ id: `id-${name}`, version: 1, name, labels, data, createdAt })
    return this
  }

  async listConfigs(label: string): Promise<readonly SwarmConfig[]> {
    if (this.failing !== undefined) throw this.failing
    const [key, value] = label.split('=')
    return this.all.filter((one) => one.labels[key ?? ''] === value)
  }

  read(): Promise<SourceSnapshot> {
    return manifestConfigs(this).read()
  }
}

/** `config: VM`, with what is wrong, once classes are laid under the VMs. */
function said(snapshot: SourceSnapshot): string[] {
  return resolved(snapshot).map((one) =>
    one.ok ? `${one.origin.file}: ${one.vm.metadata.name}` : `${one.origin.file}: ${one.name ?? '?'} ${one.issues[0]?.code}`,
  )
}

function resolved(snapshot: SourceSnapshot): readonly SourceDocument[] {
  return resolveClasses([snapshot]).flatMap((one) => one.documents)
}

describe('manifests in Swarm configs', () => {
  it('are those that carry the label, in a complete read, with the config as their file', async () => {
    const configs = new Configs().add('web-1', manifest('web')).add('other', manifest('db'), { labels: { 'swarmvirt.manifest': 'false' } })
    expect(await configs.read()).toMatchObject({
      source: 'configs',
      complete: true,
      documents: [{ ok: true, origin: { source: 'configs', file: 'web-1', line: 1 }, vm: { metadata: { name: 'web' } } }],
    })
  })

  it('are a complete read if there are none', async () => {
    expect(await new Configs().read()).toMatchObject({ complete: true, documents: [] })
  })

  it('are an incomplete read where the list cannot be had, and a fault of the program is none', async () => {
    const configs = new Configs().add('web-1', manifest('web'))
    configs.failing = new PortError('Unavailable', 'no leader')
    expect(await configs.read()).toMatchObject({ complete: false, message: expect.stringContaining('no leader') })
    configs.failing = new TypeError('x is not a function')
    await expect(configs.read()).rejects.toThrow('x is not a function')
  })

  it('are refused like files, with the config’s name and the line', async () => {
    const tooLarge = new Uint8Array(256 * 1024 + 1).fill(0x20)
    const snapshot = await new Configs().add('typo', broken('web')).add('huge', tooLarge).add('bytes', Uint8Array.of(0xff)).read()
    expect(said(snapshot)).toEqual(['typo: web VM012', 'huge: ? VM003', 'bytes: ? VM004'])
    expect(snapshot.documents[0]).toMatchObject({ issues: [{ rendered: expect.stringContaining('--> typo:1:') }] })
  })

  it('are parsed once, since a config cannot change', async () => {
    const configs = new Configs().add('web-1', manifest('web'))
    const source = manifestConfigs(configs)
    const [first, second] = [await source.read(), await source.read()]
    expect(second.documents[0]).toBe(first.documents[0])
  })
})

describe('a VM in several configs', () => {
  it('is what the newest says, and the older ones are superseded', async () => {
    const snapshot = await new Configs().add('b', manifest('web')).add('a', manifest('web', '1Gi')).add('c', manifest('db')).read()
    expect(said(snapshot)).toEqual(['a: web', 'c: db'])
    expect(snapshot.superseded).toEqual([{ file: 'b', name: 'web', by: 'a' }])
  })

  it.each([
    ['the same moment, by name', '2026-01-01T00:00:01Z', '2026-01-01T00:00:01Z'],
    ['Docker leaves out zeros at the end', '2026-01-01T00:00:01.12Z', '2026-01-01T00:00:01.123456789Z'],
    ['a whole second', '2026-01-01T00:00:01Z', '2026-01-01T00:00:01.000000001Z'],
  ])('is the same one every time: %s', async (_what, older, newer) => {
    for (const turned of [false, true]) {
      const configs = new Configs().add('a', manifest('web'), { createdAt: older }).add('b', manifest('web'), { createdAt: newer })
      if (turned) configs.all.reverse()
      expect(said(await configs.read())).toEqual(['b: web'])
    }
  })

  it('is superseded alone: the others of its config still count', async () => {
    const snapshot = await new Configs()
      .add('all', `${manifest('web')}---\n${manifest('db')}`)
      .add('web-2', manifest('web'))
      .read()
    expect(said(snapshot)).toEqual(['all: db', 'web-2: web'])
  })

  it('is the newest also where that is broken, with the newest valid one to stand in for it', async () => {
    const configs = new Configs().add('v1', manifest('web')).add('v2', manifest('web', '1Gi')).add('v3', broken('web'))
    const snapshot = await configs.read()
    expect(said(snapshot)).toEqual(['v3: web VM012'])
    expect(snapshot.documents[0]).toMatchObject({ standIn: { ok: true, origin: { file: 'v2' } } })
    expect(snapshot.superseded?.map((one) => `${one.file} by ${one.by}`)).toEqual(['v2 by v3', 'v1 by v3'])
  })

  it('is the newest also where that needs a class that is not there: a valid older one stands in, and none that needs it as well', async () => {
    const configs = new Configs().add('v1', manifest('web')).add('v2', classed('web')).add('v3', classed('web'))
    expect(resolved(await configs.read())).toMatchObject([
      { ok: false, origin: { file: 'v3' }, standIn: { ok: true, origin: { file: 'v1' } } },
    ])
    configs.add('sizes', smallClass('1Gi'))
    expect(said(await configs.read())).toEqual(['v3: web'])
    configs.add('v4', broken('web'))
    expect(resolved(await configs.read())).toMatchObject([
      { ok: false, origin: { file: 'v4' }, standIn: { ok: true, origin: { file: 'v3' } } },
    ])
  })

  it('uses the class of the newest valid config, and reports a broken newer one', async () => {
    const configs = new Configs().add('web-1', classed('web')).add('sizes-1', smallClass('1Gi')).add('sizes-2', smallClass('2Gi'))
    const snapshot = await configs.add('sizes-3', smallClass('no size')).read()
    expect(resolved(snapshot)).toMatchObject([
      { ok: true, vm: { spec: { memory: 2 * 1024 ** 3 } } },
      { ok: false, origin: { file: 'sizes-3' } },
    ])
    expect(snapshot.superseded?.map((one) => `${one.file} by ${one.by}`)).toEqual(['sizes-2 by sizes-3', 'sizes-1 by sizes-3'])
  })

  it('is not behind a newer config that nobody can tell what it holds', async () => {
    const snapshot = await new Configs().add('v1', manifest('web')).add('v2', '{').read()
    expect(said(snapshot)).toEqual(['v1: web', 'v2: ? VM002'])
  })
})

describe('what may be collected', () => {
  const names = (snapshot: SourceSnapshot): string[] => (snapshot.collectable ?? []).map((one) => one.name)

  it('is what docker vm apply made and a valid newer config stands before, from the moment that one came', async () => {
    const configs = new Configs().add('v1', manifest('web'), { labels: byCli }).add('v2', manifest('web')).add('v3', manifest('web'))
    expect((await configs.read()).collectable).toEqual([{ id: 'id-v1', name: 'v1', sinceMs: start + 1_000, unproven: [] }])
  })

  it('is nothing that others made', async () => {
    expect(names(await new Configs().add('stack_web1', manifest('web')).add('v2', manifest('web'), { labels: byCli }).read())).toEqual([])
  })

  it('is the config behind a stand-in, and not the stand-in for a broken newer one', async () => {
    const configs = new Configs()
    configs.add('v1', manifest('web'), { labels: byCli }).add('v2', manifest('web'), { labels: byCli })
    configs.add('v3', broken('web'), { labels: byCli })
    expect(names(await configs.read())).toEqual(['v1'])
  })

  it('is what a VM with a class stands before, when that proves valid with its class', async () => {
    const configs = new Configs().add('v1', manifest('web'), { labels: byCli }).add('v2', classed('web'), { labels: byCli })
    expect((await configs.read()).collectable).toMatchObject([{ name: 'v1', unproven: [{ file: 'v2', name: 'web' }] }])
  })

  it('is no config in which anything else still counts, or that cannot be read', async () => {
    const configs = new Configs().add('all', `${manifest('web')}---\n${manifest('db')}`, { labels: byCli })
    configs.add('opaque', '{', { labels: byCli }).add('empty', '# nothing\n', { labels: byCli }).add('v2', manifest('web'))
    expect(names(await configs.read())).toEqual([])
  })
})

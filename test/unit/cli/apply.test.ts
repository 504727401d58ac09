import { beforeEach, describe, expect, it } from 'vitest'
import { documentTexts } from '../../../src/adapters/manifest/document-texts.ts'
import { manifestReader } from '../../../src/adapters/manifest/manifest-yaml.ts'
import { apply, type ApplyOptions } from '../../../src/cli/declare/apply.ts'
import type { ReadTexts } from '../../../src/cli/declare/declared.ts'
import type { Outcome } from '../../../src/cli/output/outcome.ts'
import { manifest } from '../../e2e/support.ts'
import { type SwarmConfigs, swarmConfigs } from './swarm-configs.ts'

let swarm: SwarmConfigs
let numbers = 0

beforeEach(() => {
  swarm = swarmConfigs()
})

const defaults: ApplyOptions = { source: undefined, prune: false, force: false, dryRun: false, output: 'text' }

function read(files: Readonly<Record<string, string>>, message = ''): ReadTexts {
  const parse = manifestReader()
  const documents = Object.entries(files).flatMap(([file, text]) => parse('directory', file, Buffer.from(text)))
  return {
    snapshots: [{ source: 'directory', complete: message === '', message, documents }],
    files: Object.entries(files).map(([file, text]) => ({ file, texts: documentTexts(text) })),
  }
}

function applied(files: Readonly<Record<string, string>>, options: Partial<ApplyOptions> = {}): Promise<Outcome> {
  return appliedAs(read(files), options)
}

function appliedAs(given: ReadTexts, options: Partial<ApplyOptions> = {}): Promise<Outcome> {
  const ports = {
    docker: swarm,
    split: documentTexts,
    readConfig: (name: string, text: string) => manifestReader()('configs', name, Buffer.from(text)),
    randomHex: () => (numbers += 1).toString(16).padStart(8, '0'),
  }
  return apply(ports, given, { ...defaults, ...options })
}

const names = (): readonly string[] => swarm.configs().map((one) => one.labels['swarmvirt.applied-name'] ?? '')

describe('docker vm apply', () => {
  it('creates one labelled config per document, unchanged, and reports each result', async () => {
    const web = `# who answers for it: team web\n${manifest('web')}`
    const outcome = await applied({ 'a.yaml': `${web}---\n${manifest('db')}` })
    expect(outcome).toEqual({ exit: 0, out: 'virtualmachine/web created\nvirtualmachine/db created\n', err: '' })
    expect(swarm.configs().map((one) => one.data)).toEqual([web, manifest('db')])
    expect(swarm.configs()[0]?.labels).toEqual({
      'swarmvirt.manifest': 'true',
      'swarmvirt.applied-by': 'docker-vm',
      'swarmvirt.applied-source': 'default',
      'swarmvirt.applied-name': 'web',
    })
    expect(swarm.configs()[0]?.name).toMatch(/^sv-m-web-[0-9a-f]{8}$/)
  })

  it('writes nothing for existing documents, and one more config for an edit', async () => {
    await applied({ 'a.yaml': manifest('web') })
    expect((await applied({ 'b.yaml': manifest('web') })).out).toBe('virtualmachine/web unchanged\n')
    expect(names()).toEqual(['web'])
    expect((await applied({ 'a.yaml': manifest('web', { memory: '256Mi' }) })).out).toBe('virtualmachine/web configured\n')
    expect(names()).toEqual(['web', 'web'])
  })

  it('goes back to what was declared before the last edit', async () => {
    for (const memory of ['192Mi', '256Mi', '192Mi']) await applied({ 'a.yaml': manifest('web', { memory }) })
    expect(names()).toHaveLength(3)
    expect(swarm.configs().at(-1)?.data).toBe(manifest('web', { memory: '192Mi' }))
  })

  it('fits the longest name into what Swarm takes', async () => {
    expect((await applied({ 'a.yaml': manifest('a'.repeat(50)) })).exit).toBe(0)
    expect(swarm.configs()[0]?.name).toHaveLength(64)
  })

  it('writes nothing if one document is invalid, and reports the errors of each', async () => {
    const outcome = await applied({ 'a.yaml': manifest('web'), 'b.yaml': 'kind: Pod\n', 'c.yaml': manifest('db', { memory: '1' }) })
    expect(outcome.exit).toBe(1)
    expect(outcome.err).toContain('b.yaml:1')
    expect(outcome.err).toContain('c.yaml')
    expect(swarm.configs()).toEqual([])
  })

  it('writes and prunes nothing where something could not be read', async () => {
    await applied({ 'a.yaml': manifest('web') }, { source: 'ci' })
    const outcome = await appliedAs(read({}, 'vms cannot be read (EACCES)'), { source: 'ci', prune: true })
    expect(outcome.exit).toBe(2)
    expect(outcome.err).toContain('EACCES')
    expect(names()).toEqual(['web'])
  })

  it('changes nothing where a document was judged but cannot be taken out of its file', async () => {
    await applied({ 'a.yaml': manifest('web') }, { source: 'ci' })
    const missed = { ...read({ 'a.yaml': manifest('web') }), files: [{ file: 'a.yaml', texts: [] }] }
    await expect(appliedAs(missed, { source: 'ci', prune: true })).rejects.toThrow('1 documents were read, but only 0')
    expect(names()).toEqual(['web'])
  })

  it('takes a List apart', async () => {
    const items = [JSON.parse(manifest('web')), JSON.parse(manifest('db'))] as unknown[]
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
    expect((await applied({ 'a.yaml': list })).out).toBe('virtualmachine/web created\nvirtualmachine/db created\n')
  })

  it('refuses one VM from two files', async () => {
    const outcome = await applied({ 'a.yaml': manifest('web'), 'b.yaml': manifest('web') })
    expect(outcome.err).toMatch(/declared twice.*a\.yaml:1/)
    expect(swarm.configs()).toEqual([])
  })

  it('refuses nothing at all, unless it is there to prune', async () => {
    expect((await applied({ 'a.yaml': '# nothing\n' })).exit).toBe(1)
    expect((await applied({ 'a.yaml': '# nothing\n' }, { source: 'ci', prune: true })).exit).toBe(0)
  })

  it('writes nothing in a dry run, and says the same', async () => {
    await applied({ 'a.yaml': manifest('old') }, { source: 'ci' })
    const outcome = await applied({ 'a.yaml': manifest('web') }, { source: 'ci', prune: true, dryRun: true })
    expect(outcome.out).toBe('virtualmachine/web created (dry run)\nvirtualmachine/old pruned (dry run)\n')
    expect(names()).toEqual(['old'])
  })

  it('prints names alone, or one object for programs', async () => {
    expect((await applied({ 'a.yaml': manifest('web') }, { output: 'name' })).out).toBe('virtualmachine/web\n')
    expect(JSON.parse((await applied({ 'a.yaml': manifest('web') }, { output: 'json' })).out)).toEqual({
      source: 'default',
      dryRun: false,
      objects: [{ kind: 'VirtualMachine', name: 'web', result: 'unchanged', config: swarm.configs()[0]?.name }],
    })
  })

  it('says what was done when Docker fails half way, and a second run does the rest', async () => {
    const files = { 'a.yaml': manifest('web'), 'b.yaml': manifest('db') }
    await applied({ 'a.yaml': manifest('web') })
    swarm.failNext('config create', 'the swarm does not have a leader')
    const outcome = await applied(files)
    expect(outcome).toMatchObject({ exit: 1, out: 'virtualmachine/web unchanged\n' })
    expect(outcome.err).toContain('does not have a leader')
    expect((await applied(files)).out).toBe('virtualmachine/web unchanged\nvirtualmachine/db created\n')
  })
})

describe('a class', () => {
  const small = 'apiVersion: swarmvirt.dev/v1alpha1\nkind: VirtualMachineClass\nmetadata: {name: small}\nspec: {memory: 256Mi}\n'
  const web = manifest('web').replace('"spec": {', '"spec": {"class": "small",').replace('"memory": "192Mi",', '')

  it('may come with its VM, or be in the Swarm before it', async () => {
    expect((await applied({ 'a.yaml': web })).err).toContain('there is no VirtualMachineClass "small"')
    expect(swarm.configs()).toEqual([])
    expect((await applied({ 'c.yaml': small })).out).toBe('virtualmachineclass/small created\n')
    expect((await applied({ 'a.yaml': web })).out).toBe('virtualmachine/web created\n')
    expect((await applied({ 'a.yaml': web, 'c.yaml': small })).out).toBe(
      'virtualmachine/web unchanged\nvirtualmachineclass/small unchanged\n',
    )
  })

  it('that the same run would prune is nothing to lean on', async () => {
    await applied({ 'a.yaml': web, 'c.yaml': small }, { source: 'ci' })
    const outcome = await applied({ 'a.yaml': web }, { source: 'ci', prune: true })
    expect(outcome.err).toContain('there is no VirtualMachineClass "small"')
    expect(names()).toEqual(['web', 'small'])
  })
})

describe('docker vm apply --source', () => {
  it('refuses a VM of another source, and --force takes it over', async () => {
    await applied({ 'a.yaml': manifest('web') }, { source: 'ci' })
    const refused = await applied({ 'a.yaml': manifest('web', { memory: '1Gi' }), 'b.yaml': manifest('db') })
    expect(refused.exit).toBe(1)
    expect(refused.err).toContain('virtualmachine/web belongs to docker vm apply --source ci')
    expect(names()).toEqual(['web'])
    expect((await applied({ 'a.yaml': manifest('web') }, { force: true })).out).toBe('virtualmachine/web configured\n')
    expect(swarm.configs().at(-1)?.labels['swarmvirt.applied-source']).toBe('default')
  })

  it("refuses a VM of a stack's config by the stack's name", async () => {
    swarm.put({ data: manifest('web'), labels: { 'swarmvirt.manifest': 'true', 'com.docker.stack.namespace': 'shop' } })
    expect((await applied({ 'a.yaml': manifest('web') })).err).toContain('config config-1 of stack shop')
  })

  it('prunes what its source applied before and gives no more, with every older version, and nothing else', async () => {
    for (const memory of ['192Mi', '256Mi']) await applied({ 'a.yaml': manifest('old', { memory }) }, { source: 'ci' })
    await applied({ 'a.yaml': manifest('mine') })
    swarm.put({ data: manifest('stack') })
    const outcome = await applied({ 'a.yaml': manifest('web') }, { source: 'ci', prune: true })
    expect(outcome.out).toBe('virtualmachine/web created\nvirtualmachine/old pruned\n')
    expect(swarm.configs().map((one) => documentTexts(one.data)[0]?.name)).toEqual(['mine', 'stack', 'web'])
  })

  it('prunes the oldest version first, so that none comes back when Docker fails half way', async () => {
    for (const memory of ['192Mi', '256Mi']) await applied({ 'a.yaml': manifest('old', { memory }) }, { source: 'ci' })
    const newest = swarm.configs()[1]
    swarm.failAfter('config rm', 1, 'the swarm does not have a leader')
    expect((await applied({ 'a.yaml': '# nothing\n' }, { source: 'ci', prune: true })).exit).toBe(1)
    expect(swarm.configs()).toEqual([newest])
  })

  it('is needed by --prune', async () => {
    await expect(applied({ 'a.yaml': manifest('web') }, { prune: true })).rejects.toThrow('--prune needs --source')
  })
})

describe('two concurrent applies', () => {
  it('leave a config each, and the newer one counts at the next apply', async () => {
    const [a, b] = [manifest('web', { memory: '192Mi' }), manifest('web', { memory: '256Mi' })]
    const both = await Promise.all([applied({ 'a.yaml': a }), applied({ 'a.yaml': b })])
    expect(both.map((one) => one.exit)).toEqual([0, 0])
    expect(names()).toEqual(['web', 'web'])
    const last = swarm.configs().at(-1)?.data ?? ''
    expect((await applied({ 'a.yaml': last })).out).toBe('virtualmachine/web unchanged\n')
  })

  it('are not stopped by a config that is collected between the list and the look', async () => {
    await applied({ 'a.yaml': manifest('web') })
    swarm.failNext('config inspect', 'docker config inspect: config id9 not found')
    expect((await applied({ 'b.yaml': manifest('db') })).out).toBe('virtualmachine/db created\n')
  })
})

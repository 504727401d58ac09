import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { manifestDirectory } from '../../../src/adapters/directory/manifest-directory.ts'
import type { ManifestSource } from '../../../src/ports/manifest-source.ts'
import type { SourceSnapshot } from '../../../src/api/manifest/source-documents.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sv-manifests-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function manifest(name: string): string {
  return `apiVersion: swarmvirt.dev/v1alpha1
kind: VirtualMachine
metadata: {name: ${name}}
spec:
  memory: 512Mi
  disks: [{name: root, size: 1Gi, image: {source: images/tiny.qcow2}}]
  networks: [{name: lan, bridge: br0}]
`
}

function put(path: string, text: string): void {
  writeFileSync(join(root, path), text)
}

/** A file counts immediately, whatever its age. */
function atOnce(path: string): ManifestSource {
  return manifestDirectory({ path, watchPolling: false, settling: { quietMs: 0, cutMs: 0 } })
}

async function read(): Promise<SourceSnapshot> {
  return atOnce(root).read()
}

function names(snapshot: SourceSnapshot): string[] {
  return snapshot.documents.map((one) =>
    'vm' in one ? `${one.origin.file}:${one.vm.metadata.name}` : one.ok ? one.origin.file : `${one.origin.file}:${one.issues[0]?.code}`,
  )
}

describe('a manifest directory', () => {
  it('is read in order of names, with what lies below it', async () => {
    mkdirSync(join(root, 'team/web'), { recursive: true })
    put('b.yaml', manifest('b'))
    put('a.yml', manifest('a'))
    put('team/web/c.yaml', manifest('c'))
    const snapshot = await read()
    expect(snapshot).toMatchObject({ complete: true, message: '' })
    expect(names(snapshot)).toEqual(['a.yml:a', 'b.yaml:b', 'team/web/c.yaml:c'])
  })

  it('is read in all four spellings: a rename between them is no removal', async () => {
    for (const ending of ['yaml', 'yml', 'json', 'YAML', 'YML', 'JSON', 'Yaml', 'jsOn']) {
      for (const name of readdirSync(root)) rmSync(join(root, name))
      const text = manifest('web')
      put(`web.${ending}`, /json/i.test(ending) ? `${JSON.stringify(parse(text), null, '\t')}\n` : text)
      const snapshot = await read()
      expect([snapshot.complete, names(snapshot)]).toEqual([true, [`web.${ending}:web`]])
    }
  })

  it('leaves aside what .swarmvirtignore names, as git does with .gitignore', async () => {
    for (const path of ['charts/templates', 'team/drafts', 'docs']) mkdirSync(join(root, path), { recursive: true })
    put('.swarmvirtignore', '# of others\ncharts/\n*.tmpl.yaml\ndrafts\n!team/drafts/kept\n/docs/*\n!/docs/vm.yaml\nWEB.yaml\n')
    const ignored = ['charts/templates/a.yaml', 'a.tmpl.yaml', 'team/b.tmpl.yaml', 'team/drafts/c.yaml', 'docs/d.yaml', 'WEB.yaml']
    for (const path of ignored) put(path, 'a: {{')
    for (const [path, name] of [
      ['web.yaml', 'web'],
      ['docs/vm.yaml', 'vm'],
      ['team/mail.yaml', 'mail'],
    ] as const)
      put(path, manifest(name))
    const snapshot = await read()
    expect([snapshot.complete, names(snapshot)]).toEqual([true, ['docs/vm.yaml:vm', 'team/mail.yaml:mail', 'web.yaml:web']])
  })

  it('is not read where its ignore file cannot be used: what that leaves out must not be made', async () => {
    put('draft.yaml', manifest('draft'))
    mkdirSync(join(root, '.swarmvirtignore'))
    expect(await read()).toMatchObject({ complete: false, documents: [], message: expect.stringContaining('.swarmvirtignore') as string })
    rmSync(join(root, '.swarmvirtignore'), { recursive: true })
    for (const [text, why] of [
      ['draft.yaml\n*a*a*a*\n', 'line 2 has more than 2 *'],
      ['x\n'.repeat(101), 'more than 100 rules'],
      ['#'.repeat(20_000), 'larger than 16384 bytes'],
    ] as const) {
      put('.swarmvirtignore', text)
      const snapshot = await read()
      expect([snapshot.complete, snapshot.documents.length, snapshot.message]).toEqual([false, 0, expect.stringContaining(why)])
    }
  })

  it('leaves aside what editors drop, dotfiles and other files', async () => {
    mkdirSync(join(root, '.git'))
    for (const file of ['.a.yaml', 'a.yaml~', '.a.yaml.swp', '#a.yaml#', 'README.md', '.git/b.yaml', '4913', 'a.yaml.bak'])
      put(file, manifest('no'))
    expect(await read()).toMatchObject({ complete: true, documents: [] })
  })

  it('that is empty is complete, and one that is missing is not', async () => {
    expect((await read()).complete).toBe(true)
    rmSync(root, { recursive: true })
    expect(await read()).toMatchObject({ complete: false, documents: [], message: 'the manifest directory cannot be read (ENOENT)' })
  })

  it('is followed through links, as git-sync makes them, and not in circles', async () => {
    mkdirSync(join(root, '.worktrees/1'), { recursive: true })
    put('.worktrees/1/web.yaml', manifest('web'))
    symlinkSync('.worktrees/1', join(root, 'current'))
    symlinkSync('..', join(root, '.worktrees/1/up'))
    symlinkSync('.', join(root, 'self'))
    expect(names(await read())).toEqual(['current/web.yaml:web'])
  })

  it('is not complete where a file or a link cannot be read, and says which', async () => {
    put('web.yaml', manifest('web'))
    symlinkSync('nowhere', join(root, 'db.yaml'))
    execFileSync('mkfifo', [join(root, 'pipe.yaml')])
    const snapshot = await read()
    expect(snapshot.complete).toBe(false)
    expect(names(snapshot)).toEqual(['db.yaml:VM001', 'pipe.yaml:VM001', 'web.yaml:web'])
    expect(snapshot.message).toContain('db.yaml')
  })

  it('is not complete where a manifest lies deeper than it is read, and is where something else does', async () => {
    mkdirSync(join(root, 'a/b/c/d/e'), { recursive: true })
    put('a/b/c/d/web.yaml', manifest('web'))
    expect(await read()).toMatchObject({ complete: true, message: '' })
    for (const text of ['a: 1\n', 'apiVersion: apps/v1\nkind: Deployment\n', '']) {
      put('a/b/c/d/e/values.yaml', text)
      expect(await read()).toMatchObject({ complete: true, message: '' })
    }
    for (const text of [manifest('db'), 'a: [']) {
      put('a/b/c/d/e/values.yaml', text)
      const snapshot = await read()
      expect(snapshot).toMatchObject({ complete: false, message: 'a/b/c/d/e/values.yaml is more than 4 levels deep and is not read' })
      expect(names(snapshot)).toEqual(['a/b/c/d/web.yaml:web'])
    }
  })

  it('stays complete with a manifest that is broken: that is the manifest’s matter', async () => {
    put('web.yaml', 'a: [')
    expect(await read()).toMatchObject({ complete: true, documents: [{ ok: false }] })
  })

  it('reads a file again if its bytes changed', async () => {
    const source = atOnce(root)
    put('web.yaml', manifest('web'))
    expect(names(await source.read())).toEqual(['web.yaml:web'])
    put('web.yaml', manifest('two'))
    expect(names(await source.read())).toEqual(['web.yaml:two'])
  })

  it('hints when a file is renamed into it', async () => {
    const hinted = new Promise<void>((resolve) => {
      const unwatch = manifestDirectory({ path: root, watchPolling: true }).watch(() => {
        unwatch()
        resolve()
      })
    })
    put('.web.yaml.partial', manifest('web'))
    // The watcher says nothing of when it has begun: files come until it sees one.
    const again = setInterval(() => renameOnce(), 100)
    let count = 0
    function renameOnce(): void {
      put(`.web-${count}`, manifest('web'))
      renameSync(join(root, `.web-${count}`), join(root, `web-${count}.yaml`))
      count += 1
    }
    await expect(hinted).resolves.toBeUndefined()
    clearInterval(again)
  })
})

/** As git-sync and the kubelet do it: the new link beside the old one, then renamed over it. */
function swap(link: string, target: string): void {
  symlinkSync(target, join(root, `${link}.new`))
  renameSync(join(root, `${link}.new`), join(root, link))
}

function worktree(commit: string, ...vms: string[]): void {
  mkdirSync(join(root, '.worktrees', commit), { recursive: true })
  for (const vm of vms) {
    mkdirSync(join(root, '.worktrees', commit, dirname(vm)), { recursive: true })
    put(`.worktrees/${commit}/${vm}.yaml`, manifest(basename(vm)))
  }
}

/** Four manifests whose VMs carry the digit of their version. */
function fourAt(directory: string, digit: string): void {
  mkdirSync(join(root, directory), { recursive: true })
  for (const file of ['a', 'b', 'c', 'd']) put(`${directory}/${file}.yaml`, manifest(`${file}${digit}`))
}

interface Shape {
  readonly watched: string
  readonly link: string
  /** Makes a version, and gives the target of the link to it. */
  version(digit: string): string
  revision(digit: string): string
}

function gitSync(watched: string, below: string): Shape {
  return {
    watched,
    link: 'current',
    version(digit) {
      fourAt(`.worktrees/${digit.repeat(40)}/${below}`, digit)
      if (digit === '1') swap('current', `.worktrees/${digit.repeat(40)}`)
      return `.worktrees/${digit.repeat(40)}`
    },
    revision: (digit) => digit.repeat(40),
  }
}

const configMap: Shape = {
  watched: '.',
  link: '..data',
  version(digit) {
    fourAt(`..${digit}`, digit)
    if (digit !== '1') return `..${digit}`
    swap('..data', '..1')
    for (const file of ['a', 'b', 'c', 'd']) symlinkSync(`..data/${file}.yaml`, join(root, `${file}.yaml`))
    return '..1'
  },
  revision: (digit) => `..${digit}`,
}

const shapes: [string, Shape][] = [
  ['its own link', gitSync('current', '.')],
  ['a link above it', gitSync('current/vms', 'vms')],
  ['a link in it', gitSync('.', '.')],
  ['a ConfigMap', configMap],
]

describe('a directory that others write', () => {
  it('shows the last of two swaps within a second, and nothing of those before', async () => {
    for (const [commit, vm] of [
      ['1', 'web'],
      ['2', 'db'],
      ['3', 'mail'],
    ] as const)
      worktree(commit, vm)
    const source = atOnce(root)
    swap('current', '.worktrees/1')
    expect(names(await source.read())).toEqual(['current/web.yaml:web'])
    swap('current', '.worktrees/2')
    swap('current', '.worktrees/3')
    rmSync(join(root, '.worktrees/1'), { recursive: true })
    expect(names(await source.read())).toEqual(['current/mail.yaml:mail'])
  })

  it.each(shapes)('is one read of one version, with its revision, however %s is swapped meanwhile', async (_shape, shape) => {
    const versions = ['1', '2', '3'].map((digit) => shape.version(digit))
    const source = atOnce(join(root, shape.watched))
    const seen = new Set<string>()
    for (let round = 0; round < 150; round += 1) {
      const reading = source.read()
      for (let wait = 0; wait < round % 25; wait += 1) await new Promise<void>((resolve) => setImmediate(resolve))
      swap(shape.link, versions[round % 3] ?? '')
      const snapshot = await reading
      expect(snapshot).toMatchObject({ complete: true, message: '' })
      const digits = snapshot.documents.map((one) => ('vm' in one ? one.vm.metadata.name.slice(-1) : '?'))
      seen.add(`${digits.join('')} at ${snapshot.revision?.slice(0, 7)}`)
    }
    expect([...seen].sort()).toEqual(['1', '2', '3'].map((digit) => `${digit.repeat(4)} at ${shape.revision(digit).slice(0, 7)}`))
  })

  it('is not complete, and has nothing of it, while it is swapped faster than it is read', async () => {
    const versions = Array.from({ length: 40 }, (_, index) => `.worktrees/${index}`)
    for (const [index] of versions.entries()) worktree(String(index), 'a', 'b')
    let count = 0
    const next = (): void => swap('current', versions[(count += 1) % versions.length] ?? '')
    next()
    const source = atOnce(join(root, 'current'))
    const reading = source.read()
    let timer = setImmediate(function again() {
      next()
      timer = setImmediate(again)
    })
    const snapshot = await reading
    clearImmediate(timer)
    expect(snapshot).toMatchObject({
      complete: false,
      documents: [],
      message: expect.stringMatching(/changed while it was read/) as string,
    })
    expect(names(await source.read())).toEqual(['a.yaml:a', 'b.yaml:b'])
  })

  it('has each manifest once in the shape of a ConfigMap', async () => {
    mkdirSync(join(root, '..2026_01'))
    put('..2026_01/web.yaml', manifest('web'))
    swap('..data', '..2026_01')
    symlinkSync('..data/web.yaml', join(root, 'web.yaml'))
    const source = atOnce(root)
    expect(names(await source.read())).toEqual(['web.yaml:web'])
    mkdirSync(join(root, '..2026_02'))
    put('..2026_02/web.yaml', manifest('two'))
    swap('..data', '..2026_02')
    expect(names(await source.read())).toEqual(['web.yaml:two'])
  })

  it('is complete and empty if a version of git-sync no longer has the directory', async () => {
    worktree('1'.repeat(40), 'vms/web')
    worktree('2'.repeat(40))
    const source = atOnce(join(root, 'current/vms'))
    swap('current', `.worktrees/${'1'.repeat(40)}`)
    expect(names(await source.read())).toEqual(['web.yaml:web'])
    swap('current', `.worktrees/${'2'.repeat(40)}`)
    const gone = {
      complete: true,
      documents: [],
      message: 'this version has no directory vms, so it has no manifests',
      revision: '2'.repeat(40),
    }
    expect(await source.read()).toMatchObject(gone)
    rmSync(join(root, '.worktrees', '2'.repeat(40)), { recursive: true })
    expect(await source.read()).toMatchObject({ complete: false, documents: [] })
    worktree('2'.repeat(40), 'vms/db')
    expect(names(await source.read())).toEqual(['db.yaml:db'])
    worktree('3'.repeat(40))
    symlinkSync('prod', join(root, '.worktrees', '3'.repeat(40), 'vms'))
    swap('current', `.worktrees/${'3'.repeat(40)}`)
    expect(await source.read()).toMatchObject({ complete: false, documents: [] })
  })

  it('is complete while a directory in it comes and goes', async () => {
    const source = atOnce(root)
    put('web.yaml', manifest('web'))
    for (let round = 0; round < 100; round += 1) {
      mkdirSync(join(root, 'team/a/b'), { recursive: true })
      put('team/a/b/db.yaml', manifest('db'))
      const reading = source.read()
      for (let wait = 0; wait < round % 20; wait += 1) await new Promise<void>((resolve) => setImmediate(resolve))
      rmSync(join(root, 'team'), { recursive: true })
      await reading
      expect(await source.read()).toMatchObject({ complete: true, message: '' })
    }
  })

  it('that vanishes is not complete until it is back', async () => {
    const path = join(root, 'repo')
    mkdirSync(path)
    put('repo/web.yaml', manifest('web'))
    const source = atOnce(path)
    const found: unknown[] = []
    for (const step of [() => undefined, () => renameSync(path, `${path}.away`), () => renameSync(`${path}.away`, path)]) {
      step()
      const snapshot = await source.read()
      found.push([snapshot.complete, names(snapshot)])
    }
    expect(found).toEqual([
      [true, ['web.yaml:web']],
      [false, []],
      [true, ['web.yaml:web']],
    ])
  })

  it('of 1,000 files is read whole, and again at the cost of reading', async () => {
    for (let index = 0; index < 1_000; index += 1) put(`vm-${index}.yaml`, manifest(`vm-${index}`))
    const source = atOnce(root)
    for (const _round of [1, 2]) {
      const snapshot = await source.read()
      expect([snapshot.complete, snapshot.documents.filter((one) => one.ok).length]).toEqual([true, 1_000])
    }
  })
})

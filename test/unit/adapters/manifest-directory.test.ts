import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { manifestDirectory } from '../../../src/adapters/manifest-directory.ts'
import type { SourceSnapshot } from '../../../src/ports/manifest-source.ts'

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

async function read(): Promise<SourceSnapshot> {
  return manifestDirectory({ path: root, watchPolling: false }).read()
}

function names(snapshot: SourceSnapshot): string[] {
  return snapshot.documents.map((one) =>
    one.ok ? `${one.origin.file}:${one.vm.metadata.name}` : `${one.origin.file}:${one.issues[0]?.code}`,
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

  it('is not complete where it goes deeper than it is read', async () => {
    mkdirSync(join(root, 'a/b/c/d/e'), { recursive: true })
    expect(await read()).toMatchObject({ complete: false, message: 'directory a/b/c/d/e is more than 4 levels deep and is not read' })
  })

  it('stays complete with a manifest that is broken: that is the manifest’s matter', async () => {
    put('web.yaml', 'a: [')
    expect(await read()).toMatchObject({ complete: true, documents: [{ ok: false }] })
  })

  it('is read anew where bytes changed', async () => {
    const source = manifestDirectory({ path: root, watchPolling: false })
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

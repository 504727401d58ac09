import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { boundedFile, boundedFileSync } from '../../../src/adapters/directory/bounded-file.ts'
import { nodeFiles } from '../../../src/adapters/directory/node-files.ts'
import { entriesOf } from '../../../src/adapters/directory/opened.ts'
import { manifestDirectory, readManifests } from '../../../src/adapters/directory/manifest-directory.ts'
import { manifestReader } from '../../../src/adapters/manifest/manifest-yaml.ts'
import type { SourceSnapshot } from '../../../src/api/manifest/source-documents.ts'

/** Content that must not be in any answer. It is not YAML, so an error would quote it. */
const secret = `k1: [${'5ec7e7'.repeat(11)}\n`

let root: string
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'sv-root-')))
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
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

function link(path: string, target: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  symlinkSync(target, join(root, path))
}

async function read(path = 'vms'): Promise<SourceSnapshot> {
  return manifestDirectory({ path: join(root, path), watchPolling: false, settling: { quietMs: 0, cutMs: 0 } }).read()
}

async function validated(path = 'vms'): Promise<SourceSnapshot> {
  return readManifests(join(root, path), manifestReader())
}

function names({ documents }: SourceSnapshot): readonly string[] {
  return documents.map((one) => ('vm' in one ? one.vm.metadata.name : one.ok ? '' : `${one.origin.file} ${one.issues[0]?.message}`))
}

const outside = 'it leads out of the manifest directory'

describe('what leads out of a manifest directory', () => {
  beforeEach(() => {
    put('vms/web.yaml', manifest('web'))
    put('secrets/key', secret)
    put('secrets/more/key.yaml', secret)
  })

  const links: Readonly<Record<string, () => void>> = {
    'a file by its absolute path': () => link('vms/extra.yaml', join(root, 'secrets/key')),
    'a file by a relative path': () => link('vms/extra.yaml', '../secrets/key'),
    'a file by a link to a link': () => {
      link('vms/a/hop', '../../secrets')
      link('vms/extra.yaml', 'a/hop/key')
    },
    'a way out and in again': () => link('vms/extra.yaml', '../vms/web.yaml'),
    'the credentials in .git': () => {
      put('vms/.git/config', secret)
      link('vms/extra.yaml', '.git/config')
    },
  }
  it.each(Object.entries(links))('is not opened: %s', async (_what, make) => {
    make()
    const snapshot = await read()
    expect(snapshot.complete).toBe(false)
    expect(names(snapshot)).toEqual([`extra.yaml cannot be read: ${outside}`, 'web'])
    expect(JSON.stringify([snapshot, await validated()])).not.toContain('5ec7e7')
  })

  it('is not opened where it is a directory, and the source is not complete', async () => {
    link('vms/team', '../secrets/more')
    const snapshot = await read()
    expect(snapshot).toMatchObject({ complete: false, message: `link team is not followed (${outside})` })
    expect(names(snapshot)).toEqual(['web'])
    expect((await validated()).complete).toBe(false)
  })

  it('is reported with the same message whether it exists or not', async () => {
    link('vms/a.yaml', '/run/there-is-no-such-file')
    link('vms/b.yaml', join(root, 'secrets/key'))
    link('vms/c.yaml', '../secrets')
    expect(names(await read())).toEqual([...['a.yaml', 'b.yaml', 'c.yaml'].map((file) => `${file} cannot be read: ${outside}`), 'web'])
  })

  it('is no ignore file', async () => {
    link('vms/.swarmvirtignore', '../secrets/key')
    expect(await read()).toMatchObject({ complete: false, documents: [], message: expect.stringContaining(outside) as string })
  })

  it('is no commit, however much its content looks like one', async () => {
    put('token', 'a'.repeat(64))
    link('vms/.git/HEAD', '../../token')
    expect((await read()).revision).toBeUndefined()
    rmSync(join(root, 'vms/.git'), { recursive: true })
    put('vms/.git/HEAD', 'ref: refs/heads/main\n')
    link('vms/.git/refs/heads/main', join(root, 'token'))
    expect((await read()).revision).toBeUndefined()
  })
})

describe('links in a manifest directory', () => {
  it('work where they stay in it', async () => {
    put('vms/shared/web.yaml', manifest('web'))
    put('vms/base/db.yaml', manifest('db'))
    put('vms/team/mail.yaml', manifest('mail'))
    link('vms/a.yaml', 'shared/../shared/web.yaml')
    link('vms/prod/all', '../base')
    link('vms/b.yaml', join(root, 'vms/team/mail.yaml'))
    const snapshot = await read()
    expect(snapshot).toMatchObject({ complete: true, message: '' })
    expect(new Set(names(snapshot))).toEqual(new Set(['web', 'mail', 'db']))
  })

  it('work as a ConfigMap has them, and the directory may be a link itself', async () => {
    put('vms/..2026_01/web.yaml', manifest('web'))
    link('vms/..data', '..2026_01')
    link('vms/web.yaml', '..data/web.yaml')
    link('current', 'vms')
    for (const snapshot of [await read(), await read('current'), await validated('current')]) expect(names(snapshot)).toEqual(['web'])
  })
})

describe('a worktree of git-sync', () => {
  const commit = 'c'.repeat(40)
  const worktree = `git/.worktrees/${commit}`

  it('may lie wherever its link leads, and its directories may link to each other', async () => {
    put(`${worktree}/vms/web.yaml`, manifest('web'))
    put(`${worktree}/shared/db.yaml`, manifest('db'))
    link(`${worktree}/vms/db.yaml`, '../shared/db.yaml')
    link('elsewhere/current', `../${worktree}`)
    for (const path of ['elsewhere/current', 'elsewhere/current/vms']) {
      const snapshot = await read(path)
      expect(snapshot).toMatchObject({ complete: true, revision: commit })
      expect(new Set(names(snapshot))).toEqual(new Set(['web', 'db']))
    }
  })

  it('is not left by what was committed, not even as the directory itself', async () => {
    put('secrets/key.yaml', secret)
    put('git/other.yaml', manifest('other'))
    put(`git/.worktrees/${'d'.repeat(40)}/web.yaml`, manifest('web'))
    link('git/current', `.worktrees/${commit}`)
    link(`${worktree}/a.yaml`, join(root, 'secrets/key.yaml'))
    link(`${worktree}/b.yaml`, '../../other.yaml')
    link(`${worktree}/c.yaml`, `../${'d'.repeat(40)}/web.yaml`)
    link(`${worktree}/d.yaml`, '/run/secrets/swarmvirt-control-key')
    link(`${worktree}/vms`, join(root, 'secrets'))
    link(`${worktree}/again`, `../../../x/${'d'.repeat(40)}`)
    expect(names(await read('git/current'))).toEqual(['a', 'b', 'c', 'd'].map((one) => `${one}.yaml cannot be read: ${outside}`))
    for (const path of ['git/current/vms', 'git/current/again']) {
      expect(await read(path)).toMatchObject({ complete: false, documents: [], message: expect.stringContaining(outside) as string })
    }
  })
})

describe('a directory whose names change while it is read', () => {
  /** Exchanges a directory of manifests with a link out of the root, and a file with one, as fast as it can. */
  const swapper = `
    const { renameSync } = require('node:fs')
    const { workerData } = require('node:worker_threads')
    const swap = (name) => {
      renameSync(workerData + '/vms/' + name, workerData + '/aside')
      renameSync(workerData + '/links/' + name, workerData + '/vms/' + name)
      renameSync(workerData + '/vms/' + name, workerData + '/links/' + name)
      renameSync(workerData + '/aside', workerData + '/vms/' + name)
    }
    for (;;) { swap('team'); swap('web.yaml') }
  `

  it('reveals nothing outside of it, whichever side wins the race', async () => {
    put('secrets/db.yaml', secret)
    put('vms/team/db.yaml', manifest('db'))
    put('vms/web.yaml', manifest('web'))
    link('links/team', '../secrets')
    link('links/web.yaml', '../secrets/db.yaml')
    const worker = new Worker(swapper, { eval: true, workerData: root })
    try {
      const seen = new Set<string>()
      const [team, file] = [join(root, 'vms/team'), join(root, 'vms/team/db.yaml')]
      for (let round = 0; round < 2_000; round += 1) {
        const said = await Promise.allSettled([
          boundedFile(nodeFiles, round % 2 === 0 ? file : join(root, 'vms/web.yaml'), 1_000),
          Promise.resolve().then(() => boundedFileSync(nodeFiles, file, 1_000)),
          entriesOf(nodeFiles, team),
          ...(round % 20 === 0 ? [read()] : []),
        ])
        for (const one of said) seen.add(one.status === 'rejected' ? 'not read' : 'read')
        const bytes = said.flatMap((one) =>
          one.status === 'fulfilled' && 'bytes' in one.value ? [Buffer.from(one.value.bytes).toString()] : [],
        )
        expect(JSON.stringify([bytes, said])).not.toContain('5ec7e7')
      }
      expect(seen).toEqual(new Set(['read', 'not read']))
    } finally {
      await worker.terminate()
    }
  })

  it('has its files as they are now where they are renamed over', async () => {
    put('vms/web.yaml', manifest('web'))
    for (let round = 0; round < 20; round += 1) {
      put('aside', manifest(`web-${round}`))
      const reading = read()
      renameSync(join(root, 'aside'), join(root, 'vms/web.yaml'))
      expect((await reading).complete).toBe(true)
      expect(names(await read())).toEqual([`web-${round}`])
    }
  })
})

describe('what looks like a secret', () => {
  it('is skipped in a directory that is checked, and opened if it is named', async () => {
    const kept = ['secrets.yaml', 'db-secret.yaml', 'credentials.json', 'keys/.ssh/hosts.yaml']
    for (const file of kept) put(`vms/${file}`, secret)
    put('vms/tls.key', secret)
    link('vms/extra.yaml', 'tls.key')
    for (const file of ['web.yaml', 'token-service.yaml', 'secret-santa.yaml', 'keys.yaml']) put(`vms/${file}`, manifest('web'))
    const snapshot = await validated()
    expect(snapshot.complete).toBe(false)
    expect(snapshot.message).toContain('it looks like a secret')
    expect(names(snapshot).filter((one) => one === 'web')).toHaveLength(4)
    expect(JSON.stringify(snapshot)).not.toContain('5ec7e7')
    for (const file of ['secrets.yaml', 'extra.yaml']) expect(JSON.stringify(await validated(`vms/${file}`))).toContain('5ec7e7')
  })
})

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { manifestDirectory } from '../../../src/adapters/directory/manifest-directory.ts'

let root: string
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'sv-revision-')))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

async function revisionOf(path: string): Promise<string | undefined> {
  const snapshot = await manifestDirectory({ path: join(root, path), watchPolling: false }).read()
  return snapshot.revision
}

function git(directory: string, ...args: string[]): string {
  const settings = ['-c', 'user.name=test', '-c', 'user.email=test@example.org', '-c', 'init.defaultBranch=main']
  return execFileSync('git', [...settings, ...args], { cwd: join(root, directory), encoding: 'utf8' }).trim()
}

/** A checkout with one commit; gives its hash. */
function checkout(directory: string): string {
  mkdirSync(join(root, directory, 'vms'), { recursive: true })
  git(directory, 'init', '--quiet')
  writeFileSync(join(root, directory, 'vms/README'), 'x\n')
  git(directory, 'add', '.')
  git(directory, 'commit', '--quiet', '--message', 'first')
  return git(directory, 'rev-parse', 'HEAD')
}

const [one, two] = ['1'.repeat(40), '2'.repeat(40)]

describe('what a manifest directory stands at', () => {
  it.each([
    ['as git-sync v4 names it', `.worktrees/${one}`, one],
    ['as git-sync v3 names it', `rev-${one}`, one],
    ['in a repository of SHA-256', `.worktrees/${'a'.repeat(64)}`, 'a'.repeat(64)],
  ])('is the commit that the link names, %s, seen from the link, from below and from above it', async (_as, target, commit) => {
    mkdirSync(join(root, 'git', target, 'vms/team'), { recursive: true })
    symlinkSync(target, join(root, 'git/current'))
    for (const path of ['git/current', 'git/current/', 'git/current/vms/team', 'git']) expect(await revisionOf(path)).toBe(commit)
  })

  it('is the commit behind a link to the link', async () => {
    mkdirSync(join(root, `git/.worktrees/${one}/vms`), { recursive: true })
    symlinkSync(`.worktrees/${one}`, join(root, 'git/current'))
    symlinkSync('git/current/vms', join(root, 'manifests'))
    expect(await revisionOf('manifests')).toBe(one)
  })

  it('is nothing where links in it name two commits', async () => {
    for (const [link, commit] of [
      ['a', one],
      ['b', two],
    ] as const) {
      mkdirSync(join(root, '.worktrees', commit), { recursive: true })
      symlinkSync(`.worktrees/${commit}`, join(root, link))
    }
    expect(await revisionOf('.')).toBeUndefined()
  })

  it('is the version of a ConfigMap', async () => {
    mkdirSync(join(root, '..2026_01_02_03_04_05.678'))
    symlinkSync('..2026_01_02_03_04_05.678', join(root, '..data'))
    expect(await revisionOf('.')).toBe('..2026_01_02_03_04_05.678')
  })

  it('is the name of what a link leads to that somebody swaps', async () => {
    mkdirSync(join(root, 'releases/2026-01'), { recursive: true })
    symlinkSync('releases/2026-01', join(root, 'live'))
    expect(await revisionOf('live')).toBe('2026-01')
  })

  it('is nothing for a plain directory, for a missing one and behind links in a circle', async () => {
    mkdirSync(join(root, 'plain'))
    symlinkSync('b', join(root, 'a'))
    symlinkSync('a', join(root, 'b'))
    expect(await Promise.all(['plain', 'missing', 'a/vms'].map(revisionOf))).toEqual([undefined, undefined, undefined])
  })
})

describe('a manifest directory in a git checkout', () => {
  it('stands at its HEAD: on a branch, after another commit, detached, packed, and in a directory of it', async () => {
    const first = checkout('repo')
    expect([await revisionOf('repo'), await revisionOf('repo/vms')]).toEqual([first, first])
    git('repo', 'commit', '--quiet', '--allow-empty', '--message', 'second')
    const second = git('repo', 'rev-parse', 'HEAD')
    expect([await revisionOf('repo/vms'), second === first]).toEqual([second, false])
    git('repo', 'pack-refs', '--all')
    expect(() => readFileSync(join(root, 'repo/.git/refs/heads/main'))).toThrow('ENOENT')
    expect(await revisionOf('repo')).toBe(second)
    git('repo', 'checkout', '--quiet', '--detach', first)
    expect(await revisionOf('repo')).toBe(first)
    git('repo', 'checkout', '--quiet', '-b', 'team/größer')
    expect(await revisionOf('repo')).toBe(first)
  })

  it('stands at the HEAD of its own worktree', async () => {
    const first = checkout('repo')
    git('repo', 'worktree', 'add', '--quiet', '-b', 'other', '../other')
    git('other', 'commit', '--quiet', '--allow-empty', '--message', 'elsewhere')
    const there = git('other', 'rev-parse', 'HEAD')
    expect([await revisionOf('repo'), await revisionOf('other/vms')]).toEqual([first, there])
  })

  it.each([
    ['a branch with no commit', 'ref: refs/heads/none\n'],
    ['a ref that leads out', 'ref: refs/../../secret\n'],
    ['a ref with a line of its own', `ref: refs/heads/main\n${one}\n`],
    ['no ref and no commit', 'main\n'],
    ['something long', 'a'.repeat(10_000)],
  ])('has no revision where HEAD is %s', async (_what, head) => {
    checkout('repo')
    writeFileSync(join(root, 'secret'), `${one}\n`)
    writeFileSync(join(root, 'repo/.git/HEAD'), head)
    expect(await revisionOf('repo')).toBeUndefined()
  })

  it('has no revision where the files of git are pipes or are missing, and holds nobody up', async () => {
    mkdirSync(join(root, 'repo/.git'), { recursive: true })
    expect(await revisionOf('repo')).toBeUndefined()
    execFileSync('mkfifo', [join(root, 'repo/.git/HEAD')])
    expect(await revisionOf('repo')).toBeUndefined()
    writeFileSync(join(root, 'elsewhere'), `${one}\n`)
    rmSync(join(root, 'repo/.git'), { recursive: true })
    writeFileSync(join(root, 'repo/.git'), 'gitdir: ../elsewhere\n')
    expect(await revisionOf('repo')).toBeUndefined()
  })
})

/**
 * A stand-in for git-sync v4 where no registry is in reach: the flags that deploy/gitops.yaml uses and the same directory layout
 * (`.git`, `.worktrees/HASH`, a relative link that is renamed into place). It is not git-sync; see its README, "CONTRACT".
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readlinkSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

const text = { type: 'string' } as const
// As git-sync's own: an unknown flag ends the program.
const { values: flags } = parseArgs({
  options: {
    repo: text,
    ref: { ...text, default: 'HEAD' },
    root: { ...text, default: process.env['GITSYNC_ROOT'] ?? '' },
    link: text,
    depth: { ...text, default: '1' },
    period: { ...text, default: '10s' },
    submodules: { ...text, default: 'recursive' },
    'max-failures': { ...text, default: '0' },
    'stale-worktree-timeout': { ...text, default: '0s' },
  },
})
const repo = required('repo')
const root = required('root')
const link = join(root, flags.link ?? basename(repo, '.git'))

function required(name: 'repo' | 'root'): string {
  const value = flags[name]
  if (value !== undefined && value !== '') return value
  throw new Error(`--${name} is required`)
}

function milliseconds(duration: string): number {
  const [, count, unit] = /^(\d+)(ms|s|m)$/.exec(duration) ?? []
  const factor = { ms: 1, s: 1_000, m: 60_000 }[unit ?? '']
  if (factor === undefined) throw new Error(`"${duration}" is no duration`)
  return Number(count) * factor
}

function git(directory: string, ...args: string[]): string {
  return execFileSync('git', args, { cwd: directory, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
}

function isRepository(): boolean {
  try {
    return git(root, 'rev-parse', '--show-toplevel') === root
  } catch {
    return false
  }
}

/** An unusable directory is emptied, not removed: it may be a mounted volume. */
function initRepository(): void {
  if (isRepository()) return
  for (const name of readdirSync(root)) rmSync(join(root, name), { recursive: true, force: true })
  git(root, 'init', '-b', 'git-sync')
}

function current(): string {
  try {
    return basename(readlinkSync(link))
  } catch {
    return ''
  }
}

function addWorktree(hash: string): void {
  const path = join(root, '.worktrees', hash)
  rmSync(path, { recursive: true, force: true })
  git(root, 'worktree', 'prune')
  git(root, 'worktree', 'add', '--force', '--detach', path, hash, '--no-checkout')
  // Relative, for containers that mount the volume elsewhere.
  writeFileSync(join(path, '.git'), `gitdir: ../../.git/worktrees/${hash}\n`)
  git(path, 'reset', '--hard', hash, '--')
}

function publish(hash: string): void {
  const partial = join(root, 'tmp-link')
  rmSync(partial, { force: true })
  symlinkSync(join('.worktrees', hash), partial)
  renameSync(partial, link)
}

function removeStale(keep: string, timeoutMs: number): void {
  const directory = join(root, '.worktrees')
  const stale = readdirSync(directory).filter((name) => name !== keep && Date.now() - statSync(join(directory, name)).mtimeMs > timeoutMs)
  for (const name of stale) rmSync(join(directory, name), { recursive: true, force: true })
  if (stale.length > 0) git(root, 'worktree', 'prune')
}

function sync(): void {
  initRepository()
  git(root, 'fetch', repo, flags.ref, '--no-progress', '--prune', '--no-auto-gc', '--depth', flags.depth)
  const [before, hash] = [current(), git(root, 'rev-parse', 'FETCH_HEAD^{}')]
  if (before !== hash) {
    git(root, 'reset', '--soft', hash, '--')
    addWorktree(hash)
    publish(hash)
    // From here on the old one is stale.
    if (before !== '') utimesSync(join(root, '.worktrees', before), new Date(), new Date())
    process.stdout.write(`updated from "${before}" to "${hash}"\n`)
  }
  removeStale(hash, milliseconds(flags['stale-worktree-timeout']))
}

let failures = 0
for (;;) {
  try {
    sync()
    failures = 0
  } catch (error) {
    process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`)
    failures += 1
    const most = Number(flags['max-failures'])
    if (most >= 0 && failures > most) process.exit(1)
  }
  await sleep(milliseconds(flags.period))
}

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SourcesView, VmView } from '../../src/api/wire/controller-api.ts'
import { containerOf, manifest, openE2e, procStatus, serviceOf, taskMemoryMiB, waitGone, waitReady } from '../e2e/support.ts'
import { deploy, type Deployment } from '../lab/deployment.ts'
import { must, say, until } from '../lab/run.ts'

/**
 * deploy/gitops.yaml on a real Swarm. git and the repository are real; what stands for git-sync is not: its image cannot be had where no
 * registry is, and test/lab/git-sync makes the same links in the same way.
 */
const running = 'steady'
const edited = 'edited'
const repositoryPort = 9418
let deployment: Deployment
let scratch: string
let first: VmView

/** A commit a second for two minutes. */
const commits = 120
const firstMemoryMiB = 128

async function git(...args: string[]): Promise<string> {
  const identity = ['-c', 'user.name=operator', '-c', 'user.email=operator@example.org']
  return (await must(['git', ...identity, '-C', join(scratch, 'work'), ...args])).trim()
}

/** Halted, and another one each time in what is declared: label, annotation and memory. */
function editedManifest(count: number): string {
  const made = JSON.parse(manifest(edited, { runStrategy: 'Halted', memory: `${firstMemoryMiB + count}Mi` })) as {
    metadata: Record<string, unknown>
  }
  made.metadata = { ...made.metadata, labels: { count: String(count) }, annotations: { 'example.org/note': `edit ${count}` } }
  return JSON.stringify(made)
}

async function push(files: Readonly<Record<string, string>>, message: string): Promise<string> {
  for (const [file, text] of Object.entries(files)) writeFileSync(join(scratch, 'work/vms', file), text)
  await git('add', '.')
  await git('commit', '--quiet', '--message', message)
  await git('push', '--quiet', 'origin', 'main')
  return git('rev-parse', 'HEAD')
}

async function serveRepository(image: string): Promise<void> {
  const anyOwner = ['GIT_CONFIG_COUNT=1', 'GIT_CONFIG_KEY_0=safe.directory', 'GIT_CONFIG_VALUE_0=*'].flatMap((one) => ['--env', one])
  const daemon = ['git', 'daemon', '--export-all', '--base-path=/srv', `--port=${repositoryPort}`, '--reuseaddr']
  const mount = `type=bind,source=${join(scratch, 'srv')},target=/srv,readonly`
  const options = ['--detach', '--name', 'git-server', '--network', 'host', '--user', '0:0', '--mount', mount, ...anyOwner]
  await deployment.lab.mustDocker('n1', ['run', ...options, '--entrypoint', daemon[0] ?? '', image, ...daemon.slice(1)])
}

async function deployGitops(image: string): Promise<void> {
  await deploy(deployment.lab, deployment.lab.images, say, {
    files: ['deploy/stack.yaml', 'deploy/gitops.yaml'],
    env: {
      SWARMVIRT_GIT_REPO: `git://${deployment.lab.node('n1').managementIp}/fleet.git`,
      SWARMVIRT_GIT_REF: 'main',
      SWARMVIRT_GIT_DIRECTORY: 'vms',
      SWARMVIRT_GIT_PERIOD: '1s',
      SWARMVIRT_GIT_SYNC_IMAGE: image,
    },
  })
}

async function sources(): Promise<SourcesView['sources'][number] | undefined> {
  const answer = await deployment.api('/api/v1/sources').catch(() => undefined)
  return (answer?.body as SourcesView | undefined)?.sources.find((one) => one.source === 'directory')
}

/** Until the controller shows this commit; gives how long that took. */
async function shown(commit: string, timeoutMs = 60_000): Promise<number> {
  const started = performance.now()
  await until(`commit ${commit} to be shown`, timeoutMs, async () => ((await sources())?.revision === commit ? true : undefined), 100)
  return Math.round(performance.now() - started)
}

async function memoryMiB(): Promise<number> {
  return ((await serviceOf(deployment.lab, edited))?.Spec.TaskTemplate.Resources.Limits.MemoryBytes ?? 0) / 1024 / 1024
}

async function gitSyncContainer(): Promise<string> {
  const filter = ['--filter', 'label=com.docker.swarm.service.name=swarmvirt_git-sync']
  return (await deployment.lab.mustDocker('n1', ['ps', '--quiet', ...filter])).trim()
}

beforeAll(async () => {
  deployment = await openE2e()
  scratch = mkdtempSync(join(tmpdir(), 'sv-gitops-'))
  for (const directory of ['work/vms', 'srv']) mkdirSync(join(scratch, directory), { recursive: true })
  await must(['git', 'init', '--quiet', '--bare', '--initial-branch=main', join(scratch, 'srv/fleet.git')])
  await must(['git', 'init', '--quiet', '--initial-branch=main', join(scratch, 'work')])
  await git('remote', 'add', 'origin', join(scratch, 'srv/fleet.git'))
  const image = await deployment.lab.gitSync()
  await serveRepository(image)
  const commit = await push({ [`${running}.yaml`]: manifest(running), [`${edited}.yaml`]: editedManifest(0) }, 'Two VMs')
  await deployGitops(image)
  await shown(commit, 120_000)
  first = await waitReady(deployment, running)
})

afterAll(async () => {
  const { lab } = deployment
  // One by one: the removal of all at once would be blocked. The directory is removed with the last one.
  for (const vm of [edited, running]) {
    rmSync(join(scratch, `work/vms/${vm}.yaml`), { force: true })
    await push({}, `No ${vm}`)
    await waitGone(deployment, vm)
  }
  await lab.mustDocker('n1', ['service', 'rm', 'swarmvirt_git-sync'])
  await deploy(lab, lab.images, say)
  await lab.mustDocker('n1', ['rm', '--force', 'git-server'])
  rmSync(scratch, { recursive: true, force: true })
})

describe('manifests from a git repository', () => {
  it('are read from git-sync’s link, which runs with nothing and beside the controller, whose view of it is read-only', async () => {
    expect(await sources()).toMatchObject({ complete: true, message: '', revision: await git('rev-parse', 'HEAD') })
    const container = await gitSyncContainer()
    const { HostConfig, State } = JSON.parse(await deployment.lab.mustDocker('n1', ['inspect', '--format', '{{json .}}', container])) as {
      HostConfig: { ReadonlyRootfs: boolean; Privileged: boolean }
      State: { Pid: number }
    }
    expect(HostConfig).toMatchObject({ ReadonlyRootfs: true, Privileged: false })
    expect([procStatus(State.Pid, 'CapEff'), procStatus(State.Pid, 'Uid').split('\t')[0]]).toEqual(['0000000000000000', '65533'])
    const spec = (
      await deployment.lab.mustDocker('n1', ['service', 'inspect', '--format', '{{json .Spec}}', 'swarmvirt_controller'])
    ).trim()
    const { TaskTemplate } = JSON.parse(spec) as { TaskTemplate: { ContainerSpec: { Mounts: readonly Record<string, unknown>[] } } }
    const mounts = TaskTemplate.ContainerSpec.Mounts.filter((one) => one['Target'] === '/manifests')
    expect(mounts).toMatchObject([{ Type: 'volume', Source: 'swarmvirt_git', ReadOnly: true }])
  })

  it('survive the loss of git-sync, and follow again when it is back', async () => {
    await deployment.lab.mustDocker('n1', ['kill', await gitSyncContainer()])
    const commit = await push({ [`${edited}.yaml`]: editedManifest(1) }, 'While git-sync is away')
    await shown(commit)
    expect((await deployment.vm(running))?.declared).toBe('present')
  })

  it('committed every second for two minutes end as the last commit says, and restart nothing', async () => {
    const before = await containerOf(deployment.lab, running)
    const started = performance.now()
    let commit = ''
    const revisions = new Set<string>()
    const incomplete: string[] = []
    const stopped = new AbortController()
    const watched = (async () => {
      for (; !stopped.signal.aborted; await sleep(200)) {
        const seen = await sources()
        if (seen === undefined) continue
        revisions.add(seen.revision)
        if (!seen.complete) incomplete.push(seen.message)
      }
    })()
    for (let count = 2; count < commits + 2; count += 1) {
      commit = await push({ [`${edited}.yaml`]: editedManifest(count) }, `Edit ${count}`)
      const ahead = (count - 1) * 1_000 - (performance.now() - started)
      if (ahead > 0) await sleep(ahead)
    }
    const tookS = Math.round((performance.now() - started) / 1_000)
    const lastMs = await shown(commit)
    stopped.abort()
    await watched
    say(`${commits} commits in ${tookS} s, ${revisions.size} of them seen read, the last one ${lastMs} ms after its push`)
    expect(incomplete).toEqual([])
    const last = commits + 1
    await until('the memory of the last commit in the service', 30_000, async () =>
      (await memoryMiB()) === taskMemoryMiB(editedManifest(last)) ? true : undefined,
    )
    const seen = await deployment.vm(edited)
    expect(seen).toMatchObject({ declared: 'present', labels: { count: String(last) } })
    expect(seen?.observedGeneration).toBe(seen?.generation)
    expect((await serviceOf(deployment.lab, edited))?.Spec.Mode.Replicated.Replicas).toBe(0)
    expect(await containerOf(deployment.lab, running)).toEqual(before)
    expect((await waitReady(deployment, running)).facts['ip']).toBe(first.facts['ip'])
  })
})

import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SourcesView } from '../../src/api/wire/controller-api.ts'
import type { Deployment } from '../lab/deployment.ts'
import { type RunResult, until } from '../lab/run.ts'
import { manifest, openE2e, serviceOf, waitGone, waitNoVms } from './support.ts'

const main = join(import.meta.dirname, '../../src/cli/main.ts')
/** Halted, so that they cost a service and a disk and no guest. */
const names = ['rm-1', 'rm-2', 'rm-3', 'rm-4', 'rm-5', 'rm-6']
/** Limits after which a server closes other connections, 10 s and 30 s (src/adapters/controller-api/api-server.ts). */
const longerThanLimitsMs = 35_000
/** The lab's grace of 5 s, then the period of 10 s in which everything is read. */
const overGraceMs = 16_000

let deployment: Deployment
let folder: string
let watch: ChildProcess | undefined
let watched = ''
let watchedSinceMs = 0
const env = (): NodeJS.ProcessEnv => ({ PATH: process.env['PATH'], HOME: folder, DOCKER_CONFIG: folder })

function cli(...args: string[]): Promise<RunResult> {
  return deployment.lab.exec('mgmt', [process.execPath, main, ...args], { env: env() })
}

async function sources(): Promise<SourcesView> {
  return JSON.parse((await cli('sources', '-o', 'json')).stdout) as SourcesView
}

async function services(): Promise<readonly string[]> {
  const found = await Promise.all(names.map((name) => serviceOf(deployment.lab, name)))
  return names.filter((_name, index) => found[index] !== undefined)
}

/** Logs of its running container: `docker service logs` may wait forever for a task that ended. */
async function controllerLog(): Promise<string> {
  const { lab } = deployment
  const container = await lab.mustDocker('n1', ['ps', '--quiet', '--filter', 'label=com.docker.swarm.service.name=swarmvirt_controller'])
  return lab.mustDocker('n1', ['logs', container.trim()])
}

beforeAll(async () => {
  deployment = await openE2e()
  await waitNoVms(deployment)
  folder = mkdtempSync(join(tmpdir(), 'removals-'))
  const { lab } = deployment
  const { token, fingerprint } = JSON.parse(readFileSync(join(lab.node('n1').dir, 'credentials.json'), 'utf8')) as Record<string, string>
  const server = `https://${lab.node('n1').managementIp}:9471`
  const login = [process.execPath, main, 'login', '--server', server, '--fingerprint', fingerprint ?? '', '--token-stdin']
  const loggedIn = await until('the API', 60_000, async () => {
    const result = await lab.exec('mgmt', login, { env: env(), input: token ?? '' })
    return result.code === 0 ? result : undefined
  })
  expect(loggedIn.stdout).toContain('logged in')
  for (const name of names) deployment.writeManifest(`${name}.yaml`, manifest(name, { runStrategy: 'Halted' }))
  await until('services of all', 240_000, async () => ((await services()).length === names.length ? true : undefined), 1_000).catch(
    async (cause: unknown) => {
      throw new Error(`${(await cli('ls', '-o', 'wide')).stdout}\n${(await cli('sources')).stdout}`, { cause })
    },
  )
  watchedSinceMs = performance.now()
  watch = lab.spawnIn('mgmt', [process.execPath, main, 'ls', '--watch', '--filter', 'name=rm-', '--format', '{{.Name}} {{.Phase}}'], {
    env: env(),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  watch.stdout?.on('data', (chunk: Buffer) => (watched += chunk.toString()))
})

afterAll(async () => {
  watch?.kill()
  for (const name of names) deployment.removeManifest(`${name}.yaml`)
  if ((await sources()).withheld.length > 0) await cli('confirm-removal', '--yes')
  for (const name of names) await waitGone(deployment, name)
  rmSync(folder, { recursive: true })
})

describe('a folder that is emptied at once', () => {
  it('removes nothing, and says why and what it would be', async () => {
    for (const name of names) deployment.removeManifest(`${name}.yaml`)
    await until('removals to be blocked', 60_000, async () => ((await sources()).withheld.length === names.length ? true : undefined), 500)
    await sleep(overGraceMs)
    expect(await services()).toEqual(names)
    expect((await sources()).withheld).toEqual(names)
    const { stdout } = await cli('sources')
    expect(stdout).toContain('removals are blocked: the manifests of 6 of ')
    expect(stdout).toContain(names.join(' '))
  })

  it('is not confirmed by a look, nor with other names', async () => {
    const look = await cli('confirm-removal')
    expect([look.code, look.stderr]).toEqual([1, ''])
    expect(look.stdout).toContain(`docker vm confirm-removal --yes ${names.join(' ')}\n`)
    expect(await cli('confirm-removal', '--yes', ...names.slice(1))).toMatchObject({ code: 1, stdout: '' })
    const answer = await deployment.api('/api/v1/sources')
    expect((answer.body as SourcesView).withheld).toEqual(names)
  })

  it('goes when it is confirmed, but for what comes back in the grace, and the watch sees it', async () => {
    const [back = '', ...gone] = names
    const confirmed = await cli('confirm-removal', '--yes', ...names)
    expect([confirmed.code, confirmed.stderr]).toEqual([0, ''])
    deployment.writeManifest(`${back}.yaml`, manifest(back, { runStrategy: 'Halted' }))
    for (const name of gone) await waitGone(deployment, name)
    await until(
      'the watch to see it',
      60_000,
      async () => (gone.every((name) => watched.includes(`${name} Gone\n`)) ? true : undefined),
      500,
    )
    expect(await services()).toEqual([back])
    expect(watched).not.toContain(`${back} Gone`)
    expect((await sources()).withheld).toEqual([])
    expect(await controllerLog()).toMatch(/"vms":\["rm-1","rm-2","rm-3","rm-4","rm-5","rm-6"\].*"Removals confirmed"/)
  })
})

describe('the last two VMs of a source', () => {
  it('blocks removals of several VMs at once, and allows them one after the other', async () => {
    const [left = '', right = ''] = names
    deployment.writeManifest(`${right}.yaml`, manifest(right, { runStrategy: 'Halted' }))
    await until('its service', 60_000, async () => ((await services()).includes(right) ? true : undefined), 500)
    for (const name of [left, right]) deployment.removeManifest(`${name}.yaml`)
    await until('removals to be blocked', 60_000, async () => ((await sources()).withheld.length === 2 ? true : undefined), 500)
    await sleep(overGraceMs)
    expect(await services()).toEqual([left, right])
    expect((await cli('sources')).stdout).toContain('removals are blocked: the manifests of all 2 VMs of source directory')
    deployment.writeManifest(`${left}.yaml`, manifest(left, { runStrategy: 'Halted' }))
    await waitGone(deployment, right)
    deployment.removeManifest(`${left}.yaml`)
    await waitGone(deployment, left)
  })
})

it('a watch outlives what ends other connections, and has seen every VM from the start', async () => {
  await sleep(Math.max(0, longerThanLimitsMs - (performance.now() - watchedSinceMs)))
  const before = watched
  deployment.writeManifest('rm-2.yaml', manifest('rm-2', { runStrategy: 'Halted' }))
  await until('the watch to see it', 60_000, async () => (/^rm-2 /m.test(watched.slice(before.length)) ? true : undefined), 500)
  expect(watch?.exitCode).toBeNull()
  expect(
    watched
      .split('\n')
      .slice(0, names.length)
      .map((line) => line.split(' ')[0]),
  ).toEqual(names)
})

it('receives a reload', async () => {
  expect(await cli('reload')).toEqual({ code: 0, stdout: '', stderr: '' })
  expect(await controllerLog()).toContain('Reload of the manifests requested')
})

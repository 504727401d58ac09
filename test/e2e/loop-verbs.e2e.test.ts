/** The status that an operator reads: the built plugin, called by the real docker. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildCli } from '../../scripts/build-cli.ts'
import type { Deployment } from '../lab/deployment.ts'
import { type RunResult, until } from '../lab/run.ts'
import { manifest, openE2e, removeManifests, serviceOf } from './support.ts'

const name = 'loop-a'
let deployment: Deployment
let folder = ''

beforeAll(async () => {
  deployment = await openE2e()
  folder = mkdtempSync(join(tmpdir(), 'docker-vm-'))
  await buildCli(join(folder, 'cli-plugins'))
  const created = await docker(['context', 'create', 'swarm', '--docker', `host=unix://${deployment.lab.node('n1').dockerSocket}`])
  expect(created.code).toBe(0)
  let last = ''
  const login = async (): Promise<true | undefined> => {
    const { code, stderr } = await vm(['login', '--token-stdin'], deployment.token)
    last = stderr
    return code === 0 ? true : undefined
  }
  await until('the login', 60_000, login, 500).catch((error: unknown) => {
    throw new Error(last, { cause: error })
  })
})

afterAll(async () => {
  await vm(['resume', name])
  await removeManifests(deployment, [name])
  rmSync(folder, { recursive: true })
})

function docker(args: readonly string[], input = ''): Promise<RunResult> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder, DOCKER_CONFIG: folder, SWARMVIRT_NODE: process.execPath }
  return deployment.lab.exec('mgmt', ['docker', ...args], { env, input, timeoutMs: 200_000 })
}

const vm = (args: readonly string[], input?: string): Promise<RunResult> => docker(['--context', 'swarm', 'vm', ...args], input)

/** The output of `vm`; throws if it fails. */
async function said(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await vm(args)
  if (code !== 0) throw new Error(`vm ${args.join(' ')}: ${stderr}`)
  return stdout
}

async function replicas(): Promise<number | undefined> {
  return (await serviceOf(deployment.lab, name))?.Spec.Mode.Replicated.Replicas
}

function local(text: string): string {
  const path = join(folder, `${name}.yaml`)
  writeFileSync(path, text)
  return path
}

const scaleByHand = (): Promise<string> => deployment.lab.mustDocker('n1', ['service', 'scale', '--detach', `vm-${name}=0`])

describe('of a VM that is made', () => {
  it('wait ends when it is Ready, and the others tell how it came about', async () => {
    deployment.writeManifest(`${name}.yaml`, manifest(name))
    await until('the manifest to be seen', 60_000, async () => ((await vm(['ls', name])).code === 0 ? true : undefined), 500)
    expect(await said('wait', name, '--timeout', '3m')).toBe(`${name} is Ready\n`)
    expect(await said('why', name)).toBe(`${name} is Ready.\n`)
    expect(await said('describe', name)).toMatch(
      /Timeline:\n\s+manifest seen .*\n\s+placed .*\n(.*\n)*\s+service created .*\n\s+task runs .*\n\s+guest runs .*\n(.*\n)*\s+address learned.*\n(.*\n)*\s+ready\s+\d/,
    )
    expect(await said('events', name)).toMatch(new RegExp(`${name}\\s+Ready\\s+True`))
  })

  it('plan has nothing to do, and diff tells its own manifest from another one', async () => {
    expect(await said('plan', name)).toBe(`${name}: nothing to do\n`)
    expect(await vm(['diff', name])).toMatchObject({ code: 0, stdout: '' })
    expect(await vm(['diff', '-f', local(manifest(name))])).toMatchObject({ code: 0, stdout: '' })
    const other = await vm(['diff', '-f', local(manifest(name, { memory: '256Mi' }))])
    expect(other).toMatchObject({ code: 1, stderr: '' })
    expect(other.stdout).toMatch(/spec\.memory\s+192 MiB → 256 MiB\s+restart/)
    expect(await vm(['diff', '-f', local('kind: Nothing\n')])).toMatchObject({ code: 2 })
  })
})

describe('of an edit that needs a restart', () => {
  it('plan and diff say which field waits', async () => {
    deployment.writeManifest(`${name}.yaml`, manifest(name, { memory: '256Mi' }))
    const pending = await until(
      'the edit to wait',
      60_000,
      async () => {
        const { code, stdout } = await vm(['diff', name])
        return code === 1 ? stdout : undefined
      },
      500,
    )
    expect(pending).toMatch(/spec\.memory\s+192 MiB → 256 MiB\s+restart/)
    expect(await said('plan', name)).toContain('1 edit waits')
  })
})

describe('a VM that is suspended', () => {
  it('is left as a person made it, also by a controller that starts afterwards', async () => {
    expect(await said('suspend', name)).toBe(`${name} suspended\n`)
    expect(await said('wait', name, '--for', 'phase=Suspended', '--timeout', '30s')).toBe(`${name} is Suspended\n`)
    await scaleByHand()
    await deployment.lab.mustDocker('n1', ['service', 'update', '--force', '--detach=false', '--quiet', 'swarmvirt_controller'])
    await until('the controller to answer again', 60_000, async () => ((await vm(['reconcile', name])).code === 0 ? true : undefined), 500)
    expect(await said('wait', name, '--for', 'condition=Suspended', '--timeout', '60s')).toContain(name)
    expect(await said('wait', name, '--for', 'condition=GuestRunning=False', '--timeout', '3m')).toContain(name)
    expect(await replicas()).toBe(0)
    expect(await said('plan', name)).toMatch(/suspended; on resume: .*starts the guest/)
    expect(await said('why', name)).toContain(`docker vm resume ${name}`)
  })

  it('is put right when it is resumed, with the edit that waited', async () => {
    expect(await said('resume', name)).toBe(`${name} resumed\n`)
    expect(await said('resume', name)).toBe(`${name} unchanged (not suspended)\n`)
    expect(await said('wait', name, '--timeout', '3m')).toBe(`${name} is Ready\n`)
    expect(await vm(['diff', name])).toMatchObject({ code: 0 })
  })
})

describe('a change by hand', () => {
  it('is restored, and an event says what it was', async () => {
    await scaleByHand()
    const event = await until(
      'the event',
      60_000,
      async () => /Drift.*PutBack.*Mode\.Replicated\.Replicas 1 → 0/.exec(await said('events', name))?.[0],
      500,
    )
    expect(event).toContain('somebody other than swarmvirt')
    expect(await replicas()).toBe(1)
  })
})

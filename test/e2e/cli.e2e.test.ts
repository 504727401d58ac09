/** `docker vm` as an operator has it: the built plugin, called by the real docker, in a context of its own, from the management network. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildCli } from '../../scripts/build-cli.ts'
import { release } from '../../src/api/release.ts'
import type { Deployment } from '../lab/deployment.ts'
import { type RunResult, until } from '../lab/run.ts'
import { manifest, openE2e, serviceOf, uidOf, waitForCondition, waitGone, waitReady } from './support.ts'

const context = 'swarm'
const names = ['cli-web', 'cli-db', 'cli-stack', 'cli-dir'] as const
let deployment: Deployment
let folder = ''

beforeAll(async () => {
  deployment = await openE2e()
  folder = mkdtempSync(join(tmpdir(), 'docker-vm-'))
  await buildCli(join(folder, 'cli-plugins'))
  const host = `host=unix://${deployment.lab.node('n1').dockerSocket}`
  await must(['context', 'create', context, '--docker', host])
})

afterAll(async () => {
  for (const name of names) deployment.removeManifest(`${name}.yaml`)
  const ids = (await must(['--context', context, 'config', 'ls', '--quiet', '--filter', 'label=swarmvirt.manifest=true']))
    .split('\n')
    .filter(Boolean)
  if (ids.length > 0) await must(['--context', context, 'config', 'rm', ...ids])
  for (const name of names) await waitGone(deployment, name)
  rmSync(folder, { recursive: true })
})

/** The operator's docker, with a configuration directory of its own. */
function docker(args: readonly string[], input = ''): Promise<RunResult> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder, DOCKER_CONFIG: folder, SWARMVIRT_NODE: process.execPath }
  return deployment.lab.exec('mgmt', ['docker', ...args], { env, input, timeoutMs: 60_000 })
}

async function must(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await docker(args)
  if (code !== 0) throw new Error(`docker ${args.join(' ')}: ${stderr}`)
  return stdout
}

const vm = (args: readonly string[], input?: string): Promise<RunResult> => docker(['--context', context, 'vm', ...args], input)

/** The output of `vm`; throws if it fails. */
const said = (...args: readonly string[]): Promise<string> => must(['--context', context, 'vm', ...args])

function write(file: string, text: string): string {
  const path = join(folder, 'vms', file)
  mkdirSync(join(folder, 'vms'), { recursive: true })
  writeFileSync(path, text)
  return path
}

/** Names of the manifest configs that `docker vm apply` made of a VM. */
async function appliedConfigs(name: string): Promise<readonly string[]> {
  const listed = await must([
    '--context',
    context,
    'config',
    'ls',
    '--filter',
    `label=swarmvirt.applied-name=${name}`,
    '--format',
    '{{.Name}}',
  ])
  return listed.split('\n').filter(Boolean)
}

describe('without a cluster', () => {
  it('docker lists the plugin, calls nothing else one, and completes its verbs', async () => {
    const help = await must(['--help'])
    expect(help).toMatch(/^\s+vm\*?\s+Virtual machines on Docker Swarm/m)
    expect(help).not.toContain('Invalid Plugins')
    expect(await must(['vm', 'version'])).toBe(`${release}\n`)
    expect(await must(['__complete', 'vm', 'app'])).toBe('apply\tdeclare VMs from manifests, stored as Swarm configs\n:4\n')
  })

  it('a manifest is created, validated and explained', async () => {
    const made = await must(['vm', 'create', 'cli-web'])
    expect(await docker(['vm', 'validate', '-'], made)).toMatchObject({ code: 0 })
    expect(await docker(['vm', 'validate', '-'], made.replace('memory:', 'memry:'))).toMatchObject({ code: 1 })
    expect(await docker(['vm', 'validate', join(folder, 'absent')])).toMatchObject({ code: 2 })
    expect(await must(['vm', 'explain', 'spec.networks.bridge'])).toContain('spec.networks[].bridge')
  })
})

describe('login', () => {
  it('needs the token alone: server and certificate come over the connection to Docker', async () => {
    expect(await vm(['ls'])).toMatchObject({ code: 1, stderr: expect.stringContaining('not logged in') as string })
    expect(await vm(['login', '--token-stdin'], 'wrong-token')).toMatchObject({ code: 1, stdout: '' })
    const done = await vm(['login', '--token-stdin'], deployment.token)
    expect(done).toMatchObject({ code: 0, stderr: '' })
    expect(done.stdout).toContain(`logged in to https://${deployment.lab.node('n1').managementIp}:9471`)
    expect(await said('nodes', '-q')).toBe('n1\nn2\nn3\n')
    expect(await said('sources')).toMatch(/^directory\s+yes/m)
    expect(await said('ls')).toMatch(/^NAME/)
  })

  it('is of its context alone', async () => {
    expect(await docker(['vm', 'ls'])).toMatchObject({ code: 1, stderr: expect.stringContaining('not logged in') as string })
  })

  it('finds the controller again when it is not where it was', async () => {
    const file = join(folder, 'swarmvirt.json')
    const now = deployment.lab.node('n1').managementIp
    // Another manager, which runs no controller.
    writeFileSync(file, readFileSync(file, 'utf8').replace(now, deployment.lab.node('n2').managementIp))
    expect(await said('ls')).toMatch(/^NAME/)
    expect(readFileSync(file, 'utf8')).toContain(now)
  })

  it('changes nothing in an existing installation', async () => {
    expect(await said('install')).toContain('nothing was changed')
  })
})

describe('the way of a pipeline', () => {
  it('applies a VM that becomes Ready, changes it, and takes it back with its disks kept', async () => {
    const file = write('cli-web.yaml', `# team web\n${manifest('cli-web')}`)
    expect(await said('apply', '-f', file, '--dry-run')).toBe('virtualmachine/cli-web created (dry run)\n')
    expect(await said('apply', '-f', file)).toBe('virtualmachine/cli-web created\n')
    const [config = ''] = await appliedConfigs('cli-web')
    const { Data, Labels } = JSON.parse(await must(['--context', context, 'config', 'inspect', '--format', '{{json .Spec}}', config])) as {
      Data: string
      Labels: Record<string, string>
    }
    expect(Buffer.from(Data, 'base64').toString()).toBe(readFileSync(file, 'utf8'))
    expect(Labels).toMatchObject({ 'swarmvirt.applied-by': 'docker-vm', 'swarmvirt.applied-source': 'default' })
    await waitReady(deployment, 'cli-web')
    expect(await said('ls', '-q')).toContain('cli-web\n')
    expect(await said('apply', '-f', file)).toBe('virtualmachine/cli-web unchanged\n')

    write('cli-web.yaml', manifest('cli-web', { runStrategy: 'Halted' }))
    expect(await said('apply', '-f', file)).toBe('virtualmachine/cli-web configured\n')
    await until(
      'cli-web to halt',
      120_000,
      async () => ((await serviceOf(deployment.lab, 'cli-web'))?.Spec.Mode.Replicated.Replicas === 0 ? true : undefined),
      500,
    )
    const uid = await uidOf(deployment.lab, 'cli-web')

    const gone = await vm(['delete', 'cli-web'])
    expect(gone).toMatchObject({ code: 0, stdout: 'virtualmachine/cli-web deleted\n' })
    expect(gone.stderr).toContain('disks stay')
    await waitGone(deployment, 'cli-web')
    expect(await appliedConfigs('cli-web')).toEqual([])
    const retained = ['disks', '--filter', 'state=retained', '--format', '{{.VM}} {{.Disk}} {{.UID}}'] as const
    await until(
      'its disk to be retained',
      60_000,
      async () => ((await said(...retained)).includes(`cli-web root ${uid}\n`) ? true : undefined),
      500,
    )
    write('cli-web.yaml', manifest('cli-web'))
    await said('apply', '-f', file)
    await waitReady(deployment, 'cli-web')
    expect(await uidOf(deployment.lab, 'cli-web')).toBe(uid)
    await said('delete', '-f', file)
  })

  it('prunes what its source gives no more, and nothing of another', async () => {
    const web = write('cli-web.yaml', manifest('cli-web', { runStrategy: 'Halted' }))
    const db = write('cli-db.yaml', manifest('cli-db', { runStrategy: 'Halted' }))
    await said('apply', '-f', web)
    await said('apply', '-f', db, '--source', 'ci')
    const refused = await vm(['apply', '-f', web, '--source', 'ci'])
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('--source default') as string })
    rmSync(web)
    writeFileSync(db, '# nothing any more\n')
    expect(await said('apply', '-f', join(folder, 'vms'), '--source', 'ci', '--prune')).toBe('virtualmachine/cli-db pruned\n')
    expect(await appliedConfigs('cli-web')).toHaveLength(1)
    // One after the other: the removal of all VMs of a source at once would be blocked.
    await waitGone(deployment, 'cli-db')
    expect(await said('delete', 'cli-web')).toBe('virtualmachine/cli-web deleted\n')
    await waitGone(deployment, 'cli-web')
  })

  it('writes nothing of an invalid set', async () => {
    const good = write('cli-web.yaml', manifest('cli-web'))
    const bad = write('bad.yaml', manifest('cli-db').replace('memory', 'memry'))
    const refused = await vm(['apply', '-f', good, '-f', bad])
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toContain('bad.yaml')
    expect(await appliedConfigs('cli-web')).toEqual([])
  })

  it('leaves alone what a stack or the directory declares, and names them', async () => {
    write('stack.yaml', 'version: "3.8"\nconfigs:\n  cli:\n    file: ./cli-stack.yaml\n    labels: {swarmvirt.manifest: "true"}\n')
    write('cli-stack.yaml', manifest('cli-stack', { runStrategy: 'Halted' }))
    await must(['--context', context, 'stack', 'deploy', '-c', join(folder, 'vms/stack.yaml'), 'shop'])
    deployment.writeManifest('cli-dir.yaml', manifest('cli-dir', { runStrategy: 'Halted' }))
    await waitForCondition(deployment, 'cli-dir', 'Valid', (one) => one.status === 'True')
    const refused = await vm(['delete', 'cli-stack', 'cli-dir', 'cli-none'])
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toContain('virtualmachine/cli-stack is declared by config shop_cli of stack shop')
    expect(refused.stderr).toContain("virtualmachine/cli-dir is declared in the controller's manifest directory")
    expect(refused.stderr).toContain('docker vm apply has not created virtualmachine/cli-none')
    expect((await vm(['apply', '-f', join(folder, 'vms/cli-stack.yaml')])).stderr).toContain('stack shop')
    await must(['--context', context, 'stack', 'rm', 'shop'])
  })
})

describe('logout', () => {
  it('forgets the login of the context', async () => {
    expect(await said('logout')).toBe('logged out\n')
    expect(await vm(['ls'])).toMatchObject({ code: 1, stderr: expect.stringContaining('not logged in') as string })
  })
})

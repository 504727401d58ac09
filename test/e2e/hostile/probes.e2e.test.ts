import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deployment } from '../../lab/deployment.ts'
import { run } from '../../lab/run.ts'
import { isWhole } from '../../whole.ts'
import { containerOf, manifest, openE2e, removeManifests, type RunnerContainer, waitReady } from '../support.ts'
import { probeProgram, readBackProgram } from './probes.ts'

const name = 'probed'
/** In no other text, so that a search finds only this one. */
const canary = 'canary-7f3c9d51e8'
let deployment: Deployment
let container: RunnerContainer
let uid: string

/** As the runner's own processes: its user, its namespaces, and no new privileges. */
async function inTask(program: string, ...args: readonly string[]): Promise<unknown> {
  const { lab } = deployment
  const asRunner = ['setpriv', '--no-new-privs', 'node', '-e', program, '--', ...args]
  const done = await lab.docker(container.node, ['exec', container.id, ...asRunner])
  expect([done.code, done.stderr]).toEqual([0, ''])
  return JSON.parse(done.stdout)
}

/** The programs write all that they can log. Their restart takes half a minute, so only the full run does it. */
async function logEverything(change: '--env-add' | '--env-rm'): Promise<void> {
  if (!isWhole) return
  const of = (key: string, value: string): string => (change === '--env-add' ? `${key}=${value}` : key)
  const update = ['service', 'update', '--detach=false', '--quiet', change]
  await deployment.lab.mustDocker('n1', [...update, of('SWARMVIRT_DEBUG', '1'), 'swarmvirt_agent'])
  await deployment.lab.mustDocker('n1', [...update, of('SWARMVIRT_LOG_LEVEL', 'debug'), 'swarmvirt_controller'])
}

beforeAll(async () => {
  deployment = await openE2e()
  await logEverything('--env-add')
  deployment.writeManifest(`${name}.yaml`, manifest(name, { userData: `#cloud-config\n# ${canary}\n{}\n` }))
  const vm = await waitReady(deployment, name)
  uid = vm.facts['uid'] ?? ''
  container = await containerOf(deployment.lab, name)
})

afterAll(async () => {
  await removeManifests(deployment, [name])
  await logEverything('--env-rm')
})

/** How the kernel, the network or a server refuses. EFAULT or EINVAL would mean that a call got further than it may. */
const refusals =
  /^(EPERM|EACCES|EROFS|ENOENT|ENOSYS|ENOSPC|ENXIO|ENODEV|ENOTDIR|EXDEV|EAFNOSUPPORT|ENETUNREACH|EHOSTUNREACH|ECONNREFUSED|ETIMEDOUT|EBADF|EIO|ETIMEOUT)$/

describe('a shell with the runner’s uid in the task of a VM', () => {
  it('fails at each of more than 60 probes', async () => {
    const node = deployment.lab.node(container.node).managementIp
    const results = (await inTask(probeProgram, node, uid)) as Readonly<Record<string, string>>
    expect(Object.keys(results).length).toBeGreaterThan(60)
    expect(Object.entries(results).filter(([, result]) => !refusals.test(result))).toEqual([])
    await waitReady(deployment, name)
  })

  it('has from the kernel what the template asks for, and nothing beyond', async () => {
    const seen = (await inTask(readBackProgram)) as Readonly<Record<string, unknown>>
    const none = '0000000000000000'
    expect(seen).toMatchObject({
      status: {
        Uid: '30702 30702 30702 30702',
        Gid: '30700 30700 30700 30700',
        CapInh: none,
        CapPrm: none,
        CapEff: none,
        CapBnd: none,
        CapAmb: none,
        NoNewPrivs: '1',
        // A filter. Docker's own, unless every manager can store another one.
        Seccomp: '2',
      },
      pids: '512',
      interfaces: ['eth0', 'lo'],
      vm: expect.arrayContaining(['disks', 'identity.json', 'images', 'run']) as unknown,
    })
    expect(Number(seen['memory'])).toBeLessThan(512 * 1024 ** 2)
    expect(seen['sizes']).toMatchObject({ '/tmp': '65536k', '/dev/shm': '65536k' })
    // Also disks/ and run/ in the VM's directory. Docker puts /dev/null over files of /proc.
    expect((seen['writable'] as string[]).filter((path) => path !== '/tmp' && path !== '/dev/shm' && !path.startsWith('/proc/'))).toEqual(
      [],
    )
    // Docker's own resolver of names.
    expect((seen['listening'] as string[]).filter((address) => !address.startsWith('0B00007F'))).toEqual([])
    expect(
      (seen['environment'] as string[]).filter((key) => !['HOME', 'HOSTNAME', 'PATH', 'NODE_VERSION', 'YARN_VERSION'].includes(key)),
    ).toEqual([])
  })
})

describe('user data and the token', () => {
  const secrets = (): readonly string[] => [canary, deployment.token]
  const finds = (text: string): readonly string[] => secrets().filter((one) => text.includes(one))

  it('are where they belong, which shows that a search finds them', async () => {
    const program = `console.log(JSON.stringify(require('node:fs').readFileSync('/run/secrets/userdata', 'utf8')))`
    expect(finds(String(await inTask(program)))).toEqual([canary])
  })

  it('are in no object that Docker shows, and in no log', async () => {
    const { lab } = deployment
    for (const { name: node } of lab.nodes) {
      const ids = (await lab.mustDocker(node, ['ps', '--all', '--quiet'])).split('\n').filter((id) => id !== '')
      for (const id of ids) {
        expect([node, id, finds(await lab.mustDocker(node, ['inspect', id]))]).toEqual([node, id, []])
        const logs = await lab.docker(node, ['logs', id])
        expect([node, id, finds(logs.stdout + logs.stderr)]).toEqual([node, id, []])
      }
    }
    for (const kind of ['service', 'config', 'secret', 'network']) {
      const ids = (await lab.mustDocker('n1', [kind, 'ls', '--quiet'])).split('\n').filter((id) => id !== '')
      const shown = await lab.mustDocker('n1', [kind, 'inspect', ...ids])
      const data = [...shown.matchAll(/"Data": "([^"]+)"/g)].map(([, base64 = '']) => Buffer.from(base64, 'base64').toString())
      expect([kind, finds(shown), finds(data.join('\n'))]).toEqual([kind, [], []])
    }
  })

  it('are in no command line and no environment of any process', () => {
    const found = readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid) && pid !== String(process.pid))
      .flatMap((pid) =>
        ['cmdline', 'environ'].filter((file) => finds(readOr(`/proc/${pid}/${file}`)).length > 0).map((file) => [pid, file]),
      )
    expect(found).toEqual([])
  })

  it('are in no metric, no status and no event', async () => {
    const { lab } = deployment
    const metrics = await lab.httpGet('mgmt', `http://${lab.node('n1').managementIp}:9470/metrics`)
    const pages = [`vms/${name}`, 'vms', 'nodes', 'events', 'sources', `vms/${name}/plan`, `vms/${name}/manifest`]
    const answers = await Promise.all(pages.map((page) => deployment.api(`/api/v1/${page}`).catch(() => undefined)))
    expect(answers.filter((one) => one?.status === 200).length).toBeGreaterThan(2)
    expect(finds(metrics.body + JSON.stringify(answers))).toEqual([])
  })

  it('are on no disk of a node: not below the state root, and not where Docker keeps containers and the Swarm', async () => {
    for (const { name: node, stateRoot, dir } of deployment.lab.nodes) {
      const places = [stateRoot, ...['containers', 'swarm', 'network', 'volumes'].flatMap((one) => find(dir, one))].filter((path) =>
        existsSync(path),
      )
      expect(places.length).toBeGreaterThan(2)
      for (const secret of secrets()) {
        // Secrets of a task are in a tmpfs, which is no disk.
        const done = await run(['grep', '-rlaF', '--devices=skip', '--', secret, ...places])
        const files = done.stdout.split('\n').filter((path) => path !== '' && !path.includes('/mounts/secrets/'))
        expect([node, files]).toEqual([node, []])
      }
    }
  })
})

/** Directories of dockerd with this name, two levels below a node's directory. */
function find(dir: string, one: string): readonly string[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(dir, entry.name, one))
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // The process ended, or it is one of the kernel.
    return ''
  }
}

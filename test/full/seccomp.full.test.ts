/** The seccomp profile of a VM's task, in force: this lab's Swarm cannot store one, so its own Docker runs the same container. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inRunner, layout, runnerUid, sharedGid } from '../../src/api/layout.ts'
import { probeProgram } from '../e2e/hostile/probes.ts'
import {
  containerOf,
  guestPage,
  manifest,
  openE2e,
  procStatus,
  removeManifests,
  reservedMac,
  serviceOf,
  waitReady,
} from '../e2e/support.ts'
import type { Deployment } from '../lab/deployment.ts'
import type { NodeName } from '../lab/lab.ts'
import { until } from '../lab/run.ts'

const name = 'fenced'
const address = '192.168.50.58'
const container = 'fenced-by-hand'
const profile = join(import.meta.dirname, '../../src/reconcilers/services/runner-seccomp.json')
let deployment: Deployment
let node: NodeName
let uid: string

beforeAll(async () => {
  deployment = await openE2e()
  const { lab } = deployment
  await lab.reserve(reservedMac(name), address)
  deployment.writeManifest(`${name}.yaml`, manifest(name))
  uid = (await waitReady(deployment, name)).facts['uid'] ?? ''
  ;({ node } = await containerOf(lab, name))
  deployment.writeManifest(`${name}.yaml`, manifest(name, { runStrategy: 'Halted' }))
  await until('the task to end', 120_000, async () =>
    (await lab.mustDocker(node, ['ps', '--quiet', '--filter', `label=com.docker.swarm.service.name=vm-${name}`])) === '' ? true : undefined,
  )
  await start()
})

afterAll(async () => {
  await deployment.lab.docker(node, ['rm', '--force', container])
  await removeManifests(deployment, [name])
})

/** As Swarm starts the task, with the profile. */
async function start(): Promise<void> {
  const { lab } = deployment
  const spec = (await serviceOf(lab, name))?.Spec.TaskTemplate.ContainerSpec ?? {}
  const [config] = spec['Configs'] as readonly { ConfigName: string }[]
  const data = await lab.mustDocker('n1', ['config', 'inspect', '--format', '{{json .Spec.Data}}', config?.ConfigName ?? ''])
  const launch = join(lab.node(node).dir, 'launch.json')
  writeFileSync(launch, Buffer.from(JSON.parse(data) as string, 'base64'), { mode: 0o644 })
  const paths = layout('/var/lib/swarmvirt')
  const binds = [
    `${paths.instance(uid as never)}:${inRunner.vm}`,
    `${paths.socketDirectory(uid as never)}:/broker:ro`,
    `${launch}:${inRunner.launchConfig}:ro`,
  ]
  const [program = '', ...command] = spec['Command'] as readonly string[]
  const limits = ['--init', '--read-only', '--cap-drop', 'ALL', '--network', 'none', '--pids-limit', '512']
  const user = ['--user', `${runnerUid}:${sharedGid}`, '--tmpfs', '/tmp:size=64m,mode=1777', '--security-opt', `seccomp=${profile}`]
  const volumes = binds.flatMap((one) => ['--volume', one])
  const what = ['--entrypoint', program, String(spec['Image']), ...command]
  await lab.mustDocker(node, ['run', '--detach', '--name', container, ...limits, ...user, ...volumes, ...what])
}

async function logs(): Promise<string> {
  const done = await deployment.lab.docker(node, ['logs', container])
  return done.stdout + done.stderr
}

describe('the seccomp profile of a VM', () => {
  it('lets the runner take its lease, start QEMU and boot the guest, which another node reaches', async () => {
    await until('the guest to run', 120_000, async () => {
      const said = await logs()
      if (/"exit":/.test(said)) throw new Error(said)
      return said.includes('"phase":"Running"') ? true : undefined
    })
    const from = node === 'n3' ? 'n2' : 'n3'
    expect(await until('its page', 120_000, () => guestPage(deployment.lab, address, from).catch(() => undefined))).toContain(name)
  })

  it('is a filter on every process of the container, in addition to the sandbox of QEMU', async () => {
    const init = Number(await deployment.lab.mustDocker(node, ['inspect', '--format', '{{.State.Pid}}', container]))
    expect(procStatus(init, 'Seccomp')).toBe('2')
    const top = (await deployment.lab.mustDocker(node, ['top', container, '-o', 'pid,comm'])).trim()
    const filters = top
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .map(([pid = '', comm = '']) => [comm, procStatus(Number(pid), 'Seccomp_filters')])
    expect(filters.length).toBeGreaterThan(2)
    const [first] = filters
    for (const [comm = '', count] of filters)
      if (!comm.startsWith('vm-') && !comm.startsWith('qemu')) expect([comm, count]).toEqual([comm, first?.[1]])
    expect(Math.max(...filters.map(([, count]) => Number(count)))).toBeGreaterThan(Number(first?.[1]))
  })

  it.each([
    // Each of these is allowed by Docker's own profile.
    ['trace another process', 'int ptrace(int, int, void *, void *)', '0, 0, null, null'],
    ['set up io_uring', 'int64_t syscall(int64_t, int64_t, void *)', '425, 1, Buffer.alloc(256)'],
    ['ask for its execution domain', 'int personality(uint64_t)', '0xffffffff'],
    [
      'read the memory of a process',
      'int64_t syscall(int64_t, int64_t, void *, int64_t, void *, int64_t, int64_t)',
      'process.arch === "x64" ? 310 : 270, process.pid, null, 0, null, 0, 0',
    ],
    ['create a message queue', 'int msgget(int, int)', '0, 512'],
    ['reach a packet socket', 'int socket(int, int, int)', '17, 2, 0'],
    ['reach the hypervisor’s sockets', 'int socket(int, int, int)', '40, 1, 0'],
    ['create a FIFO or device', 'int mknod(const char *, uint32_t, uint64_t)', '"/tmp/fifo", 0o10600, 0'],
  ])('does not let it %s', async (_what, declaration, values) => {
    const program = `const koffi = require('/opt/swarmvirt/node_modules/koffi'); const result = koffi.load('libc.so.6').func('${declaration}')(${values}); console.log(Number(result) === -1 ? koffi.errno() : 'SUCCEEDED')`
    const done = await deployment.lab.docker(node, ['exec', container, 'node', '-e', program])
    expect([done.stderr, done.stdout.trim()]).toEqual(['', '1'])
  })

  it('leaves each of the other probes refused, and the guest running', async () => {
    const done = await deployment.lab.docker(node, [
      'exec',
      container,
      'setpriv',
      '--no-new-privs',
      'node',
      '-e',
      probeProgram,
      '--',
      '192.0.2.1',
      uid,
    ])
    expect([done.code, done.stderr]).toEqual([0, ''])
    const results = JSON.parse(done.stdout) as Readonly<Record<string, string>>
    expect(Object.entries(results).filter(([, result]) => result.startsWith('SUCCEEDED'))).toEqual([])
  })

  it('lets the guest power off in order', async () => {
    await deployment.lab.mustDocker(node, ['stop', '--time', '100', container])
    expect((await deployment.lab.mustDocker(node, ['inspect', '--format', '{{.State.ExitCode}}', container])).trim()).toBe('0')
    expect(await logs()).toContain('orderly shutdown complete')
  })
})

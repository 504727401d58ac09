/** The hardening that an operator can add to the defaults: a token for metrics, and closed ports of the nodes by the nftables file. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startPrometheus } from '../e2e/prometheus.ts'
import { containerOf, manifest, openE2e, removeManifests, waitReady } from '../e2e/support.ts'
import { deploy, type Deployment } from '../lab/deployment.ts'
import type { Lab } from '../lab/lab.ts'
import { must, say, until } from '../lab/run.ts'

const repository = join(import.meta.dirname, '../..')
const names = ['guarded', 'late'] as const
let deployment: Deployment
let lab: Lab

beforeAll(async () => {
  deployment = await openE2e()
  ;({ lab } = deployment)
  deployment.writeManifest('guarded.yaml', manifest('guarded'))
  await waitReady(deployment, 'guarded')
})

afterAll(async () => {
  for (const { name } of lab.nodes) await lab.exec(name, ['nft', 'delete', 'table', 'inet', 'swarmvirt_nodes'])
  await lab.docker('n1', ['service', 'update', '--detach=false', '--quiet', '--secret-rm', secret, 'swarmvirt_controller'])
  await lab.docker('n1', ['secret', 'rm', secret])
  await removeManifests(deployment, names)
})

const secret = 'swarmvirt-metrics-token'

async function installMetricsToken(): Promise<string> {
  const env = { ...process.env, DOCKER_HOST: `unix://${lab.node('n1').dockerSocket}` }
  const install = ['install', '--metrics-token', '--output', 'json']
  const said = await must([process.execPath, join(repository, 'src/cli/main.ts'), ...install], { env })
  return (JSON.parse(said) as { metricsToken: string }).metricsToken
}

describe('metrics with a token', () => {
  const metrics = (path: string, token = ''): Promise<number> =>
    lab.httpGet('mgmt', `http://${lab.node('n1').managementIp}:9470${path}`, { token }).then(({ status }) => status)

  it('are given to a Prometheus that has it and to nobody else, and health stays open', async () => {
    expect(await metrics('/metrics')).toBe(200)
    const token = await installMetricsToken()
    await deploy(lab, lab.images, say, { files: ['deploy/stack.yaml', 'deploy/metrics-token.yaml'], env: {} })
    await until('metrics that ask for a token', 60_000, async () => ((await metrics('/metrics')) === 401 ? true : undefined), 500)
    expect([await metrics('/metrics', `${token}x`), await metrics('/metrics', token), await metrics('/healthz')]).toEqual([401, 200, 200])

    const withToken = (config: string, directory: string): string => {
      writeFileSync(join(directory, 'token'), token)
      return config.replace('# authorization:', 'authorization:').replace(/#( {3}credentials_file: )\S+/, `$1${join(directory, 'token')}`)
    }
    for (const [edit, up] of [
      [undefined, '0'],
      [withToken, '1'],
    ] as const) {
      const prometheus = await startPrometheus(lab, edit)
      try {
        await until(`the target to be ${up}`, 60_000, async () => ((await prometheus.query('up')) === up ? true : undefined), 500)
        const ready = 'swarmvirt_vm_status_condition{vm="guarded",type="Ready"}'
        if (up === '1') await until('the VM', 60_000, async () => ((await prometheus.query(ready)) === '1' ? true : undefined), 500)
      } finally {
        prometheus.stop()
      }
    }
  })
})

describe('the nftables file of nodes', () => {
  /** TCP ports of a node that take a connection from a switch. */
  async function open(from: 'lan' | 'mgmt', host: string, ports: readonly number[]): Promise<number[]> {
    const program = `
      const net = require('node:net')
      for (const port of process.argv.slice(2)) {
        const socket = net.connect({ host: process.argv[1], port })
        const timer = setTimeout(() => socket.destroy(), 2000)
        socket.on('connect', () => { console.log(port); socket.destroy() }).on('error', () => {}).on('close', () => clearTimeout(timer))
      }`
    const { stdout } = await lab.exec(from, [process.execPath, '-e', program, host, ...ports.map(String)])
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map(Number)
      .toSorted((one, other) => one - other)
  }
  const ports = [2377, 7946, 9470, 9471]
  const fromLan = (): Promise<number[]> => open('lan', lab.node('n1').bridgeIp, ports)
  const fromOperators = (): Promise<number[]> => open('mgmt', lab.node('n1').managementIp, ports)

  it('closes what others must not reach, leaves operators theirs, and no VM notices', async () => {
    const { id } = await containerOf(lab, 'guarded')
    expect([await fromLan(), await fromOperators()]).toEqual([ports, ports])
    const file = join(repository, 'deploy/node/firewall.nft')
    for (const { name } of lab.nodes) {
      // Twice: loaded again, it replaces itself.
      for (const argv of [['--check'], [], []]) {
        const loaded = await lab.exec(name, ['nft', ...argv, '--file', file])
        expect([name, loaded.code, loaded.stderr]).toEqual([name, 0, ''])
      }
    }
    expect([await fromLan(), await fromOperators()]).toEqual([[], [9470, 9471]])
    // Managers, overlays, agents and probes between nodes still work: a new VM becomes Ready.
    deployment.writeManifest('late.yaml', manifest('late'))
    await waitReady(deployment, 'late')
    await waitReady(deployment, 'guarded')
    expect((await containerOf(lab, 'guarded')).id).toBe(id)
  })

  it('opens them again when its table is deleted', async () => {
    for (const { name } of lab.nodes) expect((await lab.exec(name, ['nft', 'delete', 'table', 'inet', 'swarmvirt_nodes'])).code).toBe(0)
    expect(await fromLan()).toEqual(ports)
  })
})

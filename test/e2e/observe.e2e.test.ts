import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deployment } from '../lab/deployment.ts'
import { ensurePackages } from '../lab/packages.ts'
import { run, until } from '../lab/run.ts'
import { manifest, openE2e, removeManifests, waitGone, waitReady } from './support.ts'

const name = 'seen'
let deployment: Deployment
let metricsUrl: string

beforeAll(async () => {
  // The package has promtool as well.
  await ensurePackages([{ file: '/usr/bin/prometheus', pkg: 'prometheus' }])
  deployment = await openE2e()
  metricsUrl = `http://${deployment.lab.node('n1').managementIp}:9470/metrics`
  deployment.writeManifest(`${name}.yaml`, manifest(name))
  await waitReady(deployment, name)
})

afterAll(async () => {
  await removeManifests(deployment, [name])
})

describe('what operators see', () => {
  it('answers 401 without a token and with a wrong one, and the VM with the right one', async () => {
    expect((await deployment.api('/api/v1/vms', '')).status).toBe(401)
    expect((await deployment.api('/api/v1/vms', `${deployment.token}x`)).status).toBe(401)
    expect((await deployment.api('/api/v1/vms')).status).toBe(200)
    expect((await deployment.api('/api/v1/vms/no-such-vm')).status).toBe(404)
  })

  it('has metrics that promtool finds no fault with', async () => {
    const metrics = await deployment.lab.httpGet('mgmt', metricsUrl)
    const checked = await run(['promtool', 'check', 'metrics'], { input: metrics.body })
    expect(`${checked.stdout}${checked.stderr}`.trim()).toBe('')
    expect(checked.code).toBe(0)
  })

  it('is found by a real Prometheus through Swarm discovery, and a VM’s Ready can be queried', async () => {
    const { lab } = deployment
    const directory = join(lab.node('n1').dir, 'prometheus')
    await run(['mkdir', '-p', directory])
    const config = readFileSync(join(import.meta.dirname, '../../deploy/prometheus.yml'), 'utf8').replaceAll('10s', '1s')
    writeFileSync(join(directory, 'prometheus.yml'), config)
    const address = `${lab.node('n1').managementIp}:9490`
    const prometheus = lab.spawnIn(
      'n1',
      [
        'prometheus',
        `--config.file=${directory}/prometheus.yml`,
        `--storage.tsdb.path=${directory}/data`,
        `--web.listen-address=${address}`,
      ],
      { stdio: 'ignore' },
    )
    try {
      const query = encodeURIComponent(`swarmvirt_vm_status_condition{vm="${name}",type="Ready"}`)
      const value = await until(
        'Prometheus to know the VM',
        60_000,
        async () => {
          const answer = await lab.httpGet('mgmt', `http://${address}/api/v1/query?query=${query}`)
          const result = JSON.parse(answer.body) as { data: { result: { value: [number, string] }[] } }
          return result.data.result[0]?.value[1]
        },
        500,
      )
      expect(value).toBe('1')
    } finally {
      prometheus.kill()
    }
  })

  it('takes a VM’s series away with the VM', async () => {
    deployment.writeManifest('short.yaml', manifest('short', { runStrategy: 'Halted' }))
    const has = async (): Promise<boolean> => (await deployment.lab.httpGet('mgmt', metricsUrl)).body.includes('vm="short"')
    await until('series of the VM', 60_000, async () => ((await has()) ? true : undefined), 500)
    deployment.removeManifest('short.yaml')
    await until('no series of the VM', 60_000, async () => ((await has()) ? undefined : true), 500)
    await waitGone(deployment, 'short')
  })
})

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deployment } from '../lab/deployment.ts'
import { run, until } from '../lab/run.ts'
import { ensurePrometheus, startPrometheus } from './prometheus.ts'
import { manifest, openE2e, removeManifests, waitGone, waitReady } from './support.ts'

const name = 'seen'
let deployment: Deployment
let metricsUrl: string

beforeAll(async () => {
  await ensurePrometheus()
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
    const prometheus = await startPrometheus(deployment.lab)
    try {
      const query = (): Promise<string | undefined> => prometheus.query(`swarmvirt_vm_status_condition{vm="${name}",type="Ready"}`)
      expect(await until('Prometheus to know the VM', 60_000, query, 500)).toBe('1')
    } finally {
      prometheus.stop()
    }
  })

  it('fires the alert for an invalid manifest while there is one', async () => {
    const prometheus = await startPrometheus(deployment.lab)
    try {
      const firing = (): Promise<string | undefined> => prometheus.query('ALERTS{alertname="SwarmvirtManifestInvalid",alertstate="firing"}')
      deployment.writeManifest('invalid.yaml', 'apiVersion: swarmvirt.dev/v1alpha1\nkind: VirtualMachine\n')
      await until('the alert to fire', 60_000, firing, 500)
      deployment.removeManifest('invalid.yaml')
      await until('the alert to end', 60_000, async () => ((await firing()) === undefined ? true : undefined), 500)
    } finally {
      deployment.removeManifest('invalid.yaml')
      prometheus.stop()
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

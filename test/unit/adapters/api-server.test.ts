import { once } from 'node:events'
import { request } from 'node:https'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Listening, listenApi, listenMetrics } from '../../../src/adapters/controller-api/api-server.ts'
import { selfSignedCertificate } from '../../../src/adapters/controller-api/certificate.ts'
import { promMetrics } from '../../../src/adapters/process/prom-metrics.ts'
import type { VmView } from '../../../src/api/wire/controller-api.ts'
import type { VmPlan } from '../../../src/api/wire/plan.ts'
import type { ControllerActions } from '../../../src/ports/controller-actions.ts'
import { PortError } from '../../../src/ports/errors.ts'
import type { Inspection } from '../../../src/ports/inspection.ts'
import type { StatusView } from '../../../src/ports/status-view.ts'
import { noActions } from '../no-actions.ts'

const token = 'a-token-of-enough-characters'
const web: VmView = {
  name: 'web',
  phase: 'Ready',
  declared: 'present',
  generation: 'g1',
  observedGeneration: 'g1',
  labels: {},
  conditions: [{ type: 'Ready', status: 'True', reason: 'Ready', message: '', observedGeneration: 'g1', lastTransitionTime: '' }],
  facts: { node: 'n1', ip: '192.168.50.42' },
  timeline: { manifest: 0, ready: 5_000 },
  events: [],
}
let vms: readonly VmView[] = [web]
let ready = true
let reloads = 0
const withheld = ['db', 'web']
const actions: ControllerActions = {
  ...noActions,
  suspend: async (name) => (name === 'web' ? { kind: 'done', changed: true } : { kind: 'unknown' }),
  resume: async () => ({ kind: 'refused', message: 'its manifest suspends it' }),
  reconcile: (name) => name === 'web',
  reload: () => void (reloads += 1),
  confirmRemoval: (names) => (String(names) === String(withheld) ? { kind: 'confirmed', names } : { kind: 'other', withheld }),
}
const view: StatusView = {
  vms: () => vms,
  vm: (name) => vms.find((vm) => vm.name === name),
  onChange: () => () => undefined,
  nodes: () => [],
  sources: () => ({ sources: [], stalled: null, withheld: [] }),
  ready: () => ({ ok: ready, message: 'waiting for Swarm state' }),
}
const plan: VmPlan = { name: 'web', suspended: null, steps: [], edits: [], editsTakeHold: 'restart', waitsFor: '', unknown: [] }
const inspection: Inspection = {
  plan: async (name) => {
    if (name === 'away') throw new PortError('Unavailable', 'Docker does not answer')
    return name === 'web' ? plan : undefined
  },
  manifest: () => undefined,
  disks: async () => ({ disks: [], unasked: [{ node: 'n3', message: 'no agent' }] }),
}
let api: Listening
let open: Listening

beforeAll(async () => {
  const { keyPem: key, certificatePem: certificate } = await selfSignedCertificate('swarmvirt', new Date())
  api = await listenApi({ port: 0, key, certificate, token, release: '0.0.0' }, view, actions, inspection)
  const metrics = promMetrics('0.0.0')
  metrics.show(view)
  open = await listenMetrics({ port: 0, token: undefined }, view, metrics)
})
afterAll(() => Promise.all([api.close(), open.close()]))

function get(path: string, authorization?: string): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const headers = authorization === undefined ? {} : { authorization }
    const call = request({ host: '127.0.0.1', port: api.port, path, headers, rejectUnauthorized: false }, (answer) => {
      let text = ''
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()))
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: JSON.parse(text) as unknown }))
    })
    call.on('error', reject)
    call.end()
  })
}

describe('the status API', () => {
  it.each([undefined, '', 'Bearer', 'Bearer wrong', `Basic ${token}`, `Bearer ${token}x`, token])(
    'answers 401 to "%s", whatever is asked',
    async (header) => {
      for (const path of ['/api/v1/vms', '/api/v1/vms/web', '/nowhere', '/']) expect((await get(path, header)).status).toBe(401)
    },
  )

  it('gives VMs, one VM, and 404 for what there is not', async () => {
    const header = `Bearer ${token}`
    expect(await get('/api/v1/vms', header)).toEqual({ status: 200, body: { vms: [web] } })
    expect(await get('/api/v1/vms/web', header)).toEqual({ status: 200, body: web })
    expect((await get('/api/v1/vms/db', header)).status).toBe(404)
    expect((await get(`/api/v1/vms/${'x'.repeat(200)}`, header)).status).toBe(414)
    expect(await get('/api/v1/disks', header)).toEqual({ status: 200, body: { disks: [], unasked: [{ node: 'n3', message: 'no agent' }] } })
    expect(await get('/api/v1/version', header)).toEqual({ status: 200, body: { version: 1, release: '0.0.0' } })
  })

  it('closes at once, also beside callers that never say anything', async () => {
    const { keyPem: key, certificatePem: certificate } = await selfSignedCertificate('swarmvirt', new Date())
    const one = await listenApi({ port: 0, key, certificate, token, release: '' }, view, actions, inspection)
    const silent = connect(one.port, '127.0.0.1')
    await once(silent, 'connect')
    const cut = once(silent, 'close')
    await one.close()
    await cut
    expect(silent.destroyed).toBe(true)
  })

  it('lets one address hold 32 connections that say nothing, and another address in', async () => {
    const held = Array.from({ length: 40 }, () => connect({ port: api.port, host: '127.0.0.1', localAddress: '127.0.0.7' }))
    let cut = 0
    await new Promise<void>((resolve) => {
      for (const one of held) one.on('error', () => undefined).on('close', () => (cut += 1) === 8 && resolve())
    })
    expect((await get('/api/v1/version', `Bearer ${token}`)).status).toBe(200)
    for (const one of held) one.destroy()
  })

  it('does not start with a token that can be guessed', async () => {
    const { keyPem: key, certificatePem: certificate } = await selfSignedCertificate('swarmvirt', new Date())
    await expect(listenApi({ port: 0, key, certificate, token: '', release: '' }, view, actions, inspection)).rejects.toThrow(/token/)
  })
})

function post(path: string, body: string, headers: Record<string, string> = {}): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const all = { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers }
    const options = { host: '127.0.0.1', port: api.port, path, method: 'POST', headers: all, rejectUnauthorized: false }
    const call = request(options, (answer) => {
      let text = ''
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()))
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: text === '' ? undefined : (JSON.parse(text) as unknown) }))
    })
    call.on('error', reject)
    call.end(body)
  })
}

describe('actions of the API', () => {
  const confirm = '/api/v1/removals/confirm'

  it('is done for nobody without the token', async () => {
    for (const path of [confirm, '/-/reload']) expect((await post(path, '', { authorization: 'Bearer wrong' })).status).toBe(401)
    expect(reloads).toBe(0)
  })

  it('reads the manifests', async () => {
    expect(await post('/-/reload', '{}')).toEqual({ status: 202, body: undefined })
    expect(reloads).toBe(1)
  })

  it('confirms exactly the blocked removals, and otherwise returns them', async () => {
    expect(await post(confirm, '{"vms":["db","web"]}')).toEqual({ status: 200, body: { confirmed: ['db', 'web'] } })
    expect(await post(confirm, '{"vms":["web"]}')).toMatchObject({ status: 409, body: { reason: 'Conflict', withheld } })
  })

  it.each([
    ['no JSON', 'vms', 400],
    ['no names', '{"vms":[]}', 400],
    ['what is no name', '{"vms":["../x"]}', 400],
    ['a key too many', '{"vms":["web"],"all":true}', 400],
    ['more names than there can be', JSON.stringify({ vms: Array(10_001).fill('web') }), 400],
    ['deeply nested JSON', `{"vms":${'['.repeat(400_000)}${']'.repeat(400_000)}}`, 400],
    ['a poisoned prototype', '{"vms":["web"],"__proto__":{"x":1}}', 400],
    ['more than a mebibyte', JSON.stringify({ vms: 'x'.repeat(1_100_000) }), 413],
  ])('refuses %s', async (_what, body, status) => {
    expect((await post(confirm, body)).status).toBe(status)
  })

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])('takes no %s', async (type) => {
    expect((await post(confirm, '{"vms":["db","web"]}', { 'content-type': type })).status).toBe(415)
  })

  it('takes names at their longest, ten thousand of them', async () => {
    const vms = Array.from({ length: 10_000 }, (_, index) => `${'x'.repeat(45)}${String(index).padStart(5, '0')}`)
    expect((await post(confirm, JSON.stringify({ vms }))).status).toBe(409)
  })
})

describe('metrics and health', () => {
  const fetchText = async (path: string): Promise<[number, string]> => {
    const answer = await fetch(`http://127.0.0.1:${open.port}${path}`)
    return [answer.status, await answer.text()]
  }

  it('show a VM’s conditions, and nothing of it once it is gone', async () => {
    expect((await fetchText('/metrics'))[1]).toContain('swarmvirt_vm_status_condition{vm="web",type="Ready"} 1')
    vms = []
    expect((await fetchText('/metrics'))[1]).not.toContain('vm="web"')
    vms = [web]
  })

  it('name no uid and no MAC', async () => {
    vms = [{ ...web, facts: { ...web.facts, uid: '11111111-1111-4111-8111-111111111111', mac: '52:54:00:00:00:2a' } }]
    const [, text] = await fetchText('/metrics')
    expect(text).toContain('swarmvirt_vm_info{vm="web"')
    expect(text).not.toMatch(/11111111-1111|52:54:00/)
    vms = [web]
  })

  it('ask for their token where one is set, and health does not', async () => {
    const metrics = promMetrics('0.0.0')
    const guarded = await listenMetrics({ port: 0, token }, view, metrics)
    const status = async (path: string, headers: Record<string, string> = {}): Promise<number> =>
      (await fetch(`http://127.0.0.1:${guarded.port}${path}`, { headers })).status
    expect([await status('/metrics'), await status('/metrics', { authorization: 'Bearer wrong' })]).toEqual([401, 401])
    expect(await status('/metrics', { authorization: `Bearer ${token}` })).toBe(200)
    expect([await status('/healthz'), await status('/readyz')]).toEqual([200, 200])
    await guarded.close()
    await expect(listenMetrics({ port: 0, token: 'short' }, view, metrics)).rejects.toThrow(/metrics token/)
  })

  it('have no gauge that is named like a counter', async () => {
    const [, text] = await fetchText('/metrics')
    expect(text.split('\n').filter((line) => /^# TYPE \S+_total gauge/.test(line))).toEqual([])
  })

  it('are alive at once and ready after the first pass', async () => {
    ready = false
    expect([await fetchText('/healthz'), await fetchText('/readyz')]).toEqual([
      [200, 'ok\n'],
      [503, 'waiting for Swarm state\n'],
    ])
    ready = true
    expect((await fetchText('/readyz'))[0]).toBe(200)
  })
})

describe('requests about one VM', () => {
  const header = `Bearer ${token}`

  it('return a plan, or an error if Docker is not responding', async () => {
    expect(await get('/api/v1/vms/web/plan', header)).toEqual({ status: 200, body: plan })
    expect((await get('/api/v1/vms/db/plan', header)).status).toBe(404)
    expect(await get('/api/v1/vms/away/plan', header)).toEqual({
      status: 503,
      body: { reason: 'Unavailable', message: 'Docker does not answer' },
    })
  })

  it('gives no manifest where none is declared', async () => {
    expect((await get('/api/v1/vms/web/manifest', header)).status).toBe(404)
  })

  it('suspends a VM, does not resume it against its manifest, and reconciles it', async () => {
    expect(await post('/api/v1/vms/web/suspend', '{}')).toEqual({ status: 200, body: { suspended: true, changed: true } })
    expect((await post('/api/v1/vms/db/suspend', '{}')).status).toBe(404)
    expect(await post('/api/v1/vms/web/resume', '{}')).toEqual({
      status: 409,
      body: { reason: 'Conflict', message: 'its manifest suspends it' },
    })
    expect((await post('/api/v1/vms/web/reconcile', '{}')).status).toBe(202)
    expect((await post('/api/v1/vms/db/reconcile', '{}')).status).toBe(404)
  })

  it('is done for nobody without the token', async () => {
    for (const verb of ['suspend', 'resume', 'reconcile'])
      expect((await post(`/api/v1/vms/web/${verb}`, '{}', { authorization: 'Bearer wrong' })).status).toBe(401)
    for (const what of ['plan', 'manifest']) expect((await get(`/api/v1/vms/web/${what}`, 'Bearer wrong')).status).toBe(401)
  })
})

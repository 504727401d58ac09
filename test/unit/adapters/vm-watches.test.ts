import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Listening, listenApi } from '../../../src/adapters/controller-api/api-server.ts'
import { selfSignedCertificate } from '../../../src/adapters/controller-api/certificate.ts'
import type { VmView } from '../../../src/api/wire/controller-api.ts'
import type { StatusView } from '../../../src/ports/status-view.ts'
import { noActions, noInspection } from '../no-actions.ts'

const token = 'a-token-of-enough-characters'
const limits = { watchers: 2, heartbeatMs: 100, stalledMs: 300 }

function aVm(name: string, phase = 'Ready', padding = ''): VmView {
  const labels = { padding }
  return {
    name,
    phase,
    declared: 'present',
    generation: '',
    observedGeneration: '',
    labels,
    conditions: [],
    facts: {},
    timeline: {},
    events: [],
  }
}

/** VMs that a test changes, with a notification to all listeners. */
class World {
  readonly vms = new Map<string, VmView>()
  readonly listeners = new Set<(name: string) => void>()
  readonly view: StatusView = {
    vms: () => [...this.vms.values()],
    vm: (name) => this.vms.get(name),
    onChange: (listener) => {
      this.listeners.add(listener)
      return () => void this.listeners.delete(listener)
    },
    nodes: () => [],
    sources: () => ({ sources: [], stalled: null, withheld: [] }),
    ready: () => ({ ok: true, message: '' }),
  }

  put(vm: VmView): void {
    this.vms.set(vm.name, vm)
    for (const listener of this.listeners) listener(vm.name)
  }

  drop(name: string): void {
    this.vms.delete(name)
    for (const listener of this.listeners) listener(name)
  }
}

let certificate: { keyPem: string; certificatePem: string }
let world: World
let api: Listening
const open: IncomingMessage[] = []

beforeAll(async () => {
  certificate = await selfSignedCertificate('swarmvirt', new Date())
})
beforeEach(async () => {
  world = new World()
  world.put(aVm('web'))
  world.put(aVm('db', 'Pending'))
  const { keyPem: key, certificatePem } = certificate
  api = await listenApi(
    { port: 0, key, certificate: certificatePem, token, release: '', watch: limits },
    world.view,
    noActions,
    noInspection,
  )
})
afterEach(async () => {
  for (const one of open.splice(0)) one.destroy()
  await api.close()
})

async function watch(path = '/api/v1/vms?watch=true', method = 'GET'): Promise<IncomingMessage> {
  const headers = { authorization: `Bearer ${token}` }
  const call = request({ host: '127.0.0.1', port: api.port, path, method, headers, rejectUnauthorized: false })
  call.end()
  const [answer] = (await once(call, 'response')) as [IncomingMessage]
  answer.on('error', () => undefined)
  open.push(answer)
  return answer
}

/** Reads until the text says enough, and leaves what comes after for the next read. */
function readUntil(answer: IncomingMessage, enough: (text: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const ended = (): void => reject(new Error(`the watch ended: ${text.slice(-500)}`))
    const take = (chunk: Buffer): void => {
      text += chunk.toString()
      if (!enough(text)) return
      answer.off('data', take).off('close', ended).pause()
      resolve(text)
    }
    answer.on('data', take).on('close', ended).resume()
  })
}

/** Events without heartbeats, a VM as its name and phase. */
function eventsOf(text: string): string[] {
  const blocks = text.split('\n\n').filter((block) => block.startsWith('event: '))
  return blocks.map((block) => {
    const [, event = '', data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(block) ?? []
    const { name = '', phase = '' } = JSON.parse(data) as Partial<VmView>
    return [event, name, phase].filter((part) => part !== '').join(' ')
  })
}
const count = (text: string, what: string): number => text.split(what).length - 1

describe('a watch', () => {
  it('begins with every VM, says when that is all, and goes on with what changes and what goes', async () => {
    const answer = await watch()
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'text/event-stream'])
    expect(eventsOf(await readUntil(answer, (text) => text.includes('synced')))).toEqual(['vm web Ready', 'vm db Pending', 'synced'])
    world.put(aVm('db', 'Running'))
    world.put(aVm('new', 'Pending'))
    world.drop('web')
    const after = await readUntil(answer, (text) => text.includes('gone'))
    expect(eventsOf(after)).toEqual(['vm db Running', 'vm new Pending', 'gone web'])
  })

  it('says nothing where nothing of a VM is another, and that it is alive', async () => {
    const answer = await watch()
    await readUntil(answer, (text) => text.includes('synced'))
    world.put(aVm('web'))
    expect(eventsOf(await readUntil(answer, (text) => count(text, ': alive\n\n') === 3))).toEqual([])
  })

  it('ends with the last state of each VM after any number of changes', async () => {
    const answer = await watch()
    for (let turn = 0; turn < 2_000; turn += 1) {
      world.put(aVm(`vm-${turn % 50}`, `Turn${turn}`, 'x'.repeat(2_000)))
      if (turn % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    const final = Array.from({ length: 50 }, (_, vm) => `vm vm-${vm} Turn${1_950 + vm}`)
    const text = await readUntil(answer, (all) => final.every((event) => all.includes(`"phase":"${event.split(' ')[2]}"`)))
    const last = new Map(eventsOf(text).map((event) => [event.split(' ')[1], event]))
    expect(Array.from({ length: 50 }, (_, vm) => last.get(`vm-${vm}`))).toEqual(final)
  })

  it('of a slow reader is cut, after no more was sent than fits between the two', async () => {
    for (let index = 0; index < 400; index += 1) world.put(aVm(`vm-${index}`, 'Ready', 'x'.repeat(100_000)))
    const answer = await watch()
    answer.pause()
    const before = process.memoryUsage().arrayBuffers
    for (let turn = 0; turn < 200; turn += 1) world.put(aVm('web', `Turn${turn}`, 'x'.repeat(100_000)))
    await expect.poll(() => world.listeners.size, { timeout: 5_000 }).toBe(0)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40_000_000)
  })

  it('is let go of when its connection is cut, so that others find a place', async () => {
    const [first, second] = [await watch(), await watch()]
    expect((await watch()).statusCode).toBe(503)
    first.destroy()
    await expect.poll(async () => (await watch()).statusCode, { timeout: 5_000 }).toBe(200)
    second.destroy()
  })

  it('ends when the server is closed', async () => {
    const answer = await watch()
    const closed = new Promise((resolve) => answer.once('close', resolve))
    answer.resume()
    await api.close()
    await closed
    expect(world.listeners.size).toBe(0)
  })

  it('is a watch only if requested, and an error if the query is invalid', async () => {
    expect((await watch('/api/v1/vms?watch=false')).headers['content-type']).toContain('application/json')
    expect((await watch('/api/v1/vms?watch=1')).statusCode).toBe(400)
    expect((await watch('/api/v1/vms?watch=true&watch=true')).statusCode).toBe(400)
    expect((await watch('/api/v1/vms?watch=true', 'HEAD')).statusCode).toBe(404)
    expect(world.listeners.size).toBe(0)
  })
})

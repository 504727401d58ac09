import type { AddressInfo } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Listening, listenApi } from '../../../src/adapters/controller-api/api-server.ts'
import { selfSignedCertificate } from '../../../src/adapters/controller-api/certificate.ts'
import { controllerClient } from '../../../src/adapters/controller-api/controller-client.ts'
import type { VmView } from '../../../src/api/wire/controller-api.ts'
import type { ControllerApi, VmChange } from '../../../src/ports/controller-api.ts'
import { noActions, noInspection } from '../no-actions.ts'
import { aVmName } from '../../support/branded.ts'

const token = 'a-token-of-enough-characters'

function aVm(name: string, phase: string): VmView {
  return {
    name,
    phase,
    declared: 'present',
    generation: '',
    observedGeneration: '',
    labels: {},
    conditions: [],
    facts: {},
    timeline: {},
    events: [],
  }
}

let certificate: { keyPem: string; certificatePem: string; fingerprint: string }
beforeAll(async () => {
  certificate = await selfSignedCertificate('swarmvirt', new Date())
})

describe('the client, with the real API', () => {
  const vms = new Map<string, VmView>()
  const listeners = new Set<(name: string) => void>()
  let reloads = 0
  let api: Listening
  let client: ControllerApi

  function put(name: string, phase: string | undefined): void {
    if (phase === undefined) vms.delete(name)
    else vms.set(name, aVm(name, phase))
    for (const listener of listeners) listener(name)
  }

  beforeEach(async () => {
    vms.clear()
    api = await listenApi(
      { port: 0, key: certificate.keyPem, certificate: certificate.certificatePem, token, release: '' },
      {
        vms: () => [...vms.values()],
        vm: (name) => vms.get(name),
        onChange: (listener) => {
          listeners.add(listener)
          return () => void listeners.delete(listener)
        },
        nodes: () => [],
        sources: () => ({ sources: [], stalled: null, withheld: [] }),
        ready: () => ({ ok: true, message: '' }),
      },
      {
        ...noActions,
        reload: () => void (reloads += 1),
        confirmRemoval: (names) => (names.includes(aVmName('db')) ? { kind: 'confirmed', names } : { kind: 'other', withheld: ['db'] }),
      },
      noInspection,
    )
    client = controllerClient({ server: `https://127.0.0.1:${api.port}`, fingerprint: certificate.fingerprint, token })
  })
  afterEach(() => api.close())

  const told = (change: VmChange): string =>
    change.kind === 'vm' ? `${change.vm.name} ${change.vm.phase}` : change.kind === 'gone' ? `${change.name} gone` : 'synced'

  it('watches from the first VM on, and disconnects when the consumer stops', async () => {
    put('web', 'Ready')
    const seen: string[] = []
    for await (const change of client.watchVms()) {
      seen.push(told(change))
      if (change.kind === 'synced') {
        put('db', 'Pending')
        put('web', undefined)
      }
      if (change.kind === 'gone') break
    }
    expect(seen).toEqual(['web Ready', 'synced', 'db Pending', 'web gone'])
    await expect.poll(() => listeners.size).toBe(0)
  })

  it('is Unavailable when the controller ends the watch, and the caller’s own reason when he does', async () => {
    const ended = async (signal?: AbortSignal): Promise<void> => {
      for await (const change of client.watchVms(signal)) if (change.kind === 'synced' && signal === undefined) void api.close()
    }
    await expect(ended(AbortSignal.timeout(200))).rejects.toMatchObject({ name: 'TimeoutError' })
    await expect(ended()).rejects.toMatchObject({ kind: 'Unavailable', message: expect.stringContaining('stopped the watch') as string })
  })

  it('requests a read, and confirms removals or receives the blocked ones', async () => {
    await client.reload()
    expect(reloads).toBe(1)
    expect(await client.confirmRemoval(['db'])).toEqual({ kind: 'confirmed', names: ['db'] })
    expect(await client.confirmRemoval(['web'])).toEqual({ kind: 'other', withheld: ['db'] })
    await expect(client.confirmRemoval(['NO NAME'])).rejects.toMatchObject({ kind: 'Unavailable' })
  })
})

describe('a watch of a server that is not ours', () => {
  const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n'
  let answer: (socket: TLSSocket) => void = () => undefined
  const sockets = new Set<TLSSocket>()
  let client: ControllerApi
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    answer(socket)
  })
  beforeAll(async () => {
    server.setSecureContext({ key: certificate.keyPem, cert: certificate.certificatePem })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const { fingerprint } = certificate
    client = controllerClient({ server: `https://127.0.0.1:${port}`, fingerprint, token, timeoutMs: 300, silenceMs: 300 })
  })
  afterAll(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })

  it.each([
    ['says nothing at all', () => undefined, 'no answer in time'],
    ['falls silent', (socket: TLSSocket) => socket.write(head), 'received nothing'],
    ['ends', (socket: TLSSocket) => socket.end(head), 'closed the watch'],
    ['sends no valid VM', (socket: TLSSocket) => socket.write(`${head}event: vm\ndata: {"name":1}\n\n`), 'does not support'],
    ['never ends an event', (socket: TLSSocket) => socket.write(`${head}data: ${'x'.repeat(5_000_000)}`), 'larger than'],
  ])('ends where it %s', async (_what, does, message) => {
    answer = does
    const watched = async (): Promise<void> => {
      for await (const change of client.watchVms()) expect(change).toBeUndefined()
    }
    await expect(watched()).rejects.toMatchObject({ kind: 'Unavailable', message: expect.stringContaining(message) as string })
  })
})

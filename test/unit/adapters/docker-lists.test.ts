import { getEventListeners } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { dockerSwarm } from '../../../src/adapters/docker/docker-swarm.ts'
import { aNodeId } from '../../support/branded.ts'

const closing: (() => void)[] = []
afterEach(() => closing.splice(0).forEach((close) => close()))

/** A dockerd that answers each path as the test says, and otherwise with an empty list. */
async function aDockerd(answers: Record<string, (response: ServerResponse) => void>) {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '').replace(/^\/v[\d.]+/, '')
    if (path.startsWith('/version')) return void response.end('{"ApiVersion": "1.41"}')
    const answer = answers[path.replace(/\?$/, '')]
    if (answer === undefined) response.end('[]')
    else answer(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(
    () => server.closeAllConnections(),
    () => void server.close(),
  )
  return dockerSwarm(`tcp://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

const task = (id: string, nodeId: string) => ({
  ID: id,
  ServiceID: 's',
  NodeID: nodeId,
  Status: { State: 'running' },
  DesiredState: 'running',
})
const json = (value: () => unknown) => (response: ServerResponse) => void response.end(JSON.stringify(value()))

test('while dockerd answers with the same bytes the list is the very same one', async () => {
  let services = [{ ID: 'a', Version: { Index: 1 }, Spec: { Name: 'vm-a' } }]
  const swarm = await aDockerd({ '/services': json(() => services) })
  const first = await swarm.listServices()
  expect(await swarm.listServices()).toBe(first)
  services = [{ ID: 'a', Version: { Index: 2 }, Spec: { Name: 'vm-a' } }]
  const second = await swarm.listServices()
  expect(second.map(({ version }) => version)).toEqual([2])
  expect(await swarm.listServices()).toBe(second)
})

const service = (id: string, index: number, name = `vm-${id}`) => ({ ID: id, Version: { Index: index }, Spec: { Name: name } })

test('of a list in which something changed the rest is as it was, object by object', async () => {
  let services = [service('a', 1), service('b', 1), service('c', 1)]
  const swarm = await aDockerd({ '/services': (response) => void response.end(`${JSON.stringify(services)}\n`) })
  const first = await swarm.listServices()
  services = [service('d', 4), service('a', 1), service('b', 3)]
  const second = await swarm.listServices()
  expect(second.map(({ id, version }) => `${id} ${version}`)).toEqual(['d 4', 'a 1', 'b 3'])
  expect(second[1]).toBe(first[0])
  services = []
  expect(await swarm.listServices()).toEqual([])
})

test('whatever stands in an object, the list has as many as Docker sent', async () => {
  const names = ['},{"ID":"x"', '"},{"ID":"x"}]', '\\"},{\\"ID\\":', '}]', 'ö},{', '']
  const odd = names.map((name, at) => ({
    ...service(`s${at}`, at, name),
    Inner: [{ ID: 'x' }, { ID: 'y' }],
    Last: { ID: [{ ID: 1 }, { ID: 2 }] },
  }))
  const plain = names.map((name, at) => service(`p${at}`, at, name))
  for (const list of [odd, plain, [...plain, ...odd], [plain[0], plain[0]]]) {
    for (const spaces of [undefined, 1]) {
      const swarm = await aDockerd({ '/services': (response) => void response.end(JSON.stringify(list, undefined, spaces)) })
      const read = await swarm.listServices()
      expect(read.map(({ id, name }) => [id, name])).toEqual(list.map((one) => [one?.ID, one?.Spec.Name]))
    }
  }
})

test('an element without what it needs is an answer that cannot be used', async () => {
  const swarm = await aDockerd({ '/services': json(() => [service('a', 1), { ID: 'b', Spec: {} }]) })
  await expect(swarm.listServices()).rejects.toMatchObject({ kind: 'Unavailable' })
})

test('lists with other filters are other lists', async () => {
  const swarm = await aDockerd({
    '/tasks': json(() => [task('1', 'n1'), task('2', 'n2')]),
    '/tasks?filters={"node":["n1"]}': json(() => [task('1', 'n1')]),
    '/tasks?filters={"node":["n2"]}': json(() => [task('2', 'n2'), task('3', 'n22')]),
  })
  const ids = async (filter: Parameters<typeof swarm.listTasks>[0]) => (await swarm.listTasks(filter)).map(({ id }) => id)
  for (let round = 0; round < 2; round += 1) {
    expect(await ids({})).toEqual(['1', '2'])
    expect(await ids({ nodeId: aNodeId('n1') })).toEqual(['1'])
    expect(await ids({ nodeId: aNodeId('n2') })).toEqual(['2'])
  }
})

test('an object in a filtered list and in the full list is the same object', async () => {
  const swarm = await aDockerd({
    '/tasks': json(() => [task('1', 'n1'), task('2', 'n2')]),
    '/tasks?filters={"node":["n2"]}': json(() => [task('2', 'n2')]),
  })
  const [, second] = await swarm.listTasks({})
  expect((await swarm.listTasks({ nodeId: aNodeId('n2') }))[0]).toBe(second)
})

test('an answer that ends too early is no list, and the next one is', async () => {
  let isCut = true
  const swarm = await aDockerd({
    '/nodes'(response) {
      if (!isCut) return void response.end('[]')
      response.writeHead(200, { 'content-length': 100 })
      response.write('[{"ID": "a"', () => response.destroy())
    },
  })
  await expect(swarm.listNodes()).rejects.toMatchObject({ kind: 'Unavailable' })
  isCut = false
  expect(await swarm.listNodes()).toEqual([])
})

test('an answer that is not JSON, or is JSON but not a list, is not an empty list', async () => {
  for (const text of ['<html>', '{"message": "no"}', '']) {
    const swarm = await aDockerd({ '/nodes': (response) => void response.end(text) })
    await expect(swarm.listNodes()).rejects.toMatchObject({ kind: 'Unavailable' })
  }
  const without = await aDockerd({ '/nodes': (response) => void response.end('null') })
  expect(await without.listNodes()).toEqual([])
})

test('an error in place of a list is judged as every error', async () => {
  const swarm = await aDockerd({
    '/nodes'(response) {
      response.statusCode = 503
      response.end('{"message": "This node is not a swarm manager."}')
    },
  })
  await expect(swarm.listNodes()).rejects.toMatchObject({ kind: 'Unavailable', message: expect.stringContaining('not a swarm manager') })
})

test('nothing of a call that has ended waits for its limit', async () => {
  const swarm = await aDockerd({
    '/nodes': json(() => []),
    '/services/x': (response) => void response.writeHead(404).end('{"message": "no"}'),
  })
  const timers = (): number => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length
  const before = timers()
  const { signal } = new AbortController()
  for (let call = 0; call < 20; call += 1) {
    await swarm.listNodes(signal)
    await swarm.getService('x', signal)
  }
  // Connections that are kept have one each.
  expect(timers() - before).toBeLessThan(10)
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

test('a caller that is aborted during an answer gets its error at once', async () => {
  const swarm = await aDockerd({ '/nodes': (response) => void response.write('[') })
  const stop = new AbortController()
  const asked = swarm.listNodes(stop.signal)
  setTimeout(() => stop.abort(new Error('enough')), 50)
  await expect(asked).rejects.toThrow('enough')
})

import { PortError } from '../../ports/errors.ts'
import type { Labels, RawSpec, Swarm, SwarmEvent } from '../../ports/swarm.ts'
import type { Engine } from './engine.ts'
import type { Call } from './call.ts'
import { portErrorOf } from './errors.ts'
import { linesOf, readEvent } from './events.ts'
import { readConfig, readCreated, readList, readNode, readSecret, readService, readTask } from './read.ts'

const eventTypes = ['service', 'node', 'config', 'secret']

/** The Swarm over the Engine API. */
export function swarmOver(engine: Engine): Swarm {
  const get = (path: string, filters: Filters | undefined, signal: AbortSignal | undefined): Promise<unknown> =>
    engine.call({ method: 'GET', path, ...(filters === undefined ? {} : { query: { filters: JSON.stringify(filters) } }), signal })
  const list = <Item>(path: string, filters: Filters | undefined, item: (raw: unknown) => Item, signal: AbortSignal | undefined) =>
    engine.list({ method: 'GET', path, ...(filters === undefined ? {} : { query: { filters: JSON.stringify(filters) } }), signal }, item)
  const post = (path: string, query: Call['query'], body: unknown, signal: AbortSignal | undefined): Promise<unknown> =>
    engine.call({ method: 'POST', path, ...(query === undefined ? {} : { query }), body, signal })
  const remove = async (path: string, signal: AbortSignal | undefined): Promise<void> => {
    await engine.call({ method: 'DELETE', path, signal })
  }
  return {
    listNodes: (signal) => list('/nodes', undefined, readNode, signal),
    async updateNodeLabels(node, labels, signal) {
      await post(`/nodes/${enc(node.id)}/update`, { version: node.version }, { ...node.spec, Labels: labels }, signal)
    },

    listServices: (label, signal) => list('/services', byLabel(label), readService, signal),
    async getService(nameOrId, signal) {
      const answer = await engine.find({ method: 'GET', path: `/services/${enc(nameOrId)}`, signal })
      const service = answer === undefined ? undefined : readService(answer)
      // Docker also accepts the beginning of an ID, but `abc` may be the name of a service.
      return service?.name === nameOrId || service?.id === nameOrId ? service : undefined
    },
    createService: async (spec, signal) => readCreated(await judged(() => post('/services/create', undefined, spec, signal))),
    async updateService(id, version, spec, signal) {
      await judged(() => post(`/services/${enc(id)}/update`, { version }, spec, signal), id)
    },
    removeService: (id, signal) => remove(`/services/${enc(id)}`, signal),

    async listTasks({ serviceId, nodeId }, signal) {
      if (serviceId === undefined && nodeId === undefined) return list('/tasks', undefined, readTask, signal)
      const filters = { ...(serviceId === undefined ? {} : { service: [serviceId] }), ...(nodeId === undefined ? {} : { node: [nodeId] }) }
      // Lists of single services are not cached, since there are too many.
      const some =
        serviceId === undefined ? list('/tasks', filters, readTask, signal) : readList(await get('/tasks', filters, signal), readTask)
      // Both filters also match names and prefixes.
      return (await some).filter((task) => (serviceId ?? task.serviceId) === task.serviceId && (nodeId ?? task.nodeId) === task.nodeId)
    },

    listConfigs: (label, signal) => list('/configs', byLabel(label), readConfig, signal),
    async getConfig(name, signal) {
      const configs = readList(await get('/configs', { name: [name] }, signal), readConfig)
      return configs.find((config) => config.name === name)
    },
    createConfig: async (name, labels, data, signal) =>
      readCreated(await post('/configs/create', undefined, content(name, labels, data), signal)),
    async updateConfigLabels(config, labels, signal) {
      await post(`/configs/${enc(config.id)}/update`, { version: config.version }, content(config.name, labels, config.data), signal)
    },
    removeConfig: (id, signal) => remove(`/configs/${enc(id)}`, signal),

    listSecrets: (label, signal) => list('/secrets', byLabel(label), readSecret, signal),
    createSecret: async (name, labels, data, signal) =>
      readCreated(await post('/secrets/create', undefined, content(name, labels, data), signal)),
    removeSecret: (id, signal) => remove(`/secrets/${enc(id)}`, signal),

    apiVersion: (signal) => engine.version(signal),
    events: (signal) => events(engine, signal),
  }
}

type Filters = Readonly<Record<string, readonly string[]>>

function enc(segment: string): string {
  return encodeURIComponent(segment)
}

function byLabel(label: string | undefined): Filters | undefined {
  return label === undefined ? undefined : { label: [label] }
}

function content(name: string, labels: Labels, data: Uint8Array): RawSpec {
  return { Name: name, Labels: labels, Data: Buffer.from(data).toString('base64') }
}

/** A 404 may concern an object in the spec, such as a network or a secret. Then the service still exists. */
async function judged(call: () => Promise<unknown>, id?: string): Promise<unknown> {
  try {
    return await call()
  } catch (error) {
    if (!(error instanceof PortError) || error.kind !== 'NotFound') throw error
    if (id !== undefined && error.message.includes(`service ${id} not found`)) throw error
    throw new PortError('Invalid', error.message, { cause: error })
  }
}

async function* events(engine: Engine, signal: AbortSignal): AsyncGenerator<SwarmEvent> {
  const path = '/events'
  const stream = await engine.stream({ method: 'GET', path, query: { filters: JSON.stringify({ type: eventTypes }) }, signal })
  try {
    for await (const line of linesOf(stream)) {
      const event = readEvent(line)
      if (event !== undefined) yield event
    }
  } catch (error) {
    if (signal.aborted) return
    throw portErrorOf(error, 'GET /events')
  } finally {
    stream.destroy()
  }
  if (!signal.aborted) throw new PortError('Unavailable', 'GET /events: the stream ended')
}

import type { Request } from '../../src/adapters/docker/call.ts'
import { PortError } from '../../src/ports/errors.ts'
import type { Labels, RawSpec, SwarmConfig, SwarmNode, SwarmSecret, SwarmService, SwarmTask } from '../../src/ports/swarm.ts'
import { rawObject } from '../../src/reconcilers/shared/raw.ts'
import type { SimulatedSwarm } from './simulated-swarm.ts'

/** Translates a request into a call of the Swarm. `perform` returns dockerd's answer, and throws dockerode's errors. */
export interface DockerdCall {
  readonly name: string
  readonly target: string
  readonly isWrite: boolean
  readonly versionOf?: number
  readonly perform: (swarm: SimulatedSwarm) => Promise<unknown>
}

/** The Engine API's paths, as the adapter sends them: its own reading of answers, filters and errors is tried along with everything else. */
export function dockerdCall(request: Request): DockerdCall {
  const [, kind = '', id = '', verb = ''] = request.path
    .replace(/^\/v[\d.]+/, '')
    .split('/')
    .map(decodeURIComponent)
  const found = routes[`${request.method} /${kind}${id === '' ? '' : id === 'create' ? '/create' : '/ID'}${verb === '' ? '' : `/${verb}`}`]
  if (found === undefined) throw new Error(`the simulated dockerd has no ${request.method} ${request.path}`)
  return found({ id, body: sent(request), query: { ...request.query } })
}

interface Asked {
  readonly id: string
  readonly body: RawSpec
  readonly query: Readonly<Record<string, string | number | boolean>>
}

/** As it arrives: what is undefined is not sent. */
function sent({ body }: Request): RawSpec {
  return rawObject(JSON.parse(JSON.stringify(body ?? {})))
}

const routes: Readonly<Record<string, (asked: Asked) => DockerdCall>> = {
  'GET /version': () => reading('version', '', async (swarm) => ({ ApiVersion: swarm.api })),
  'GET /nodes': () => reading('listNodes', '', async (swarm) => (await swarm.listNodes()).map(rawNode)),
  'POST /nodes/ID/update': (asked) =>
    updating('updateNodeLabels', asked, (swarm, version) => {
      const { id, body } = asked
      return swarm.updateNodeLabels({ id, version, spec: body } as SwarmNode, labelsIn(body))
    }),
  'GET /services': ({ query }) => {
    const label = filter(query, 'label')
    return reading('listServices', label ?? '', async (swarm) => (await swarm.listServices(label)).map(rawService))
  },
  'GET /services/ID': ({ id }) => reading('getService', id, async (swarm) => rawService(serviceCalled(swarm, id))),
  'POST /services/create': ({ body }) =>
    writing('createService', String(body['Name']), async (swarm) => ({ ID: await swarm.createService(body) })),
  'POST /services/ID/update': (asked) =>
    updating('updateService', asked, (swarm, version) => swarm.updateService(asked.id, version, asked.body)),
  'DELETE /services/ID': ({ id }) => writing('removeService', id, (swarm) => swarm.removeService(id)),
  'GET /tasks': ({ query }) => {
    const [serviceId, nodeId] = [filter(query, 'service'), filter(query, 'node')]
    const which = { ...(serviceId === undefined ? {} : { serviceId }), ...(nodeId === undefined ? {} : { nodeId }) }
    return reading('listTasks', serviceId ?? nodeId ?? '', async (swarm) => (await swarm.listTasks(which)).map(rawTask))
  },
  'GET /configs': ({ query }) => {
    const [name, label] = [filter(query, 'name'), filter(query, 'label')]
    if (name === undefined)
      return reading('listConfigs', label ?? '', async (swarm) => (await swarm.listConfigs(label ?? '')).map(rawConfig))
    // The filter takes beginnings.
    const called = (swarm: SimulatedSwarm): SwarmConfig[] => [...swarm.configs.values()].filter((one) => one.name.startsWith(name))
    return reading('getConfig', name, async (swarm) => called(swarm).map(rawConfig))
  },
  'POST /configs/create': ({ body }) => {
    const name = String(body['Name'])
    return writing('createConfig', name, async (swarm) => ({ ID: await swarm.createConfig(name, labelsIn(body), bytesIn(body)) }))
  },
  'POST /configs/ID/update': (asked) =>
    updating('updateConfigLabels', asked, (swarm, version) => {
      const { id, body } = asked
      const seen = { id, version, name: String(body['Name']), data: bytesIn(body) }
      return swarm.updateConfigLabels(seen as SwarmConfig, labelsIn(body))
    }),
  'DELETE /configs/ID': ({ id }) => writing('removeConfig', id, (swarm) => swarm.removeConfig(id)),
  'GET /secrets': ({ query }) => {
    const label = filter(query, 'label') ?? ''
    return reading('listSecrets', label, async (swarm) => (await swarm.listSecrets(label)).map(rawSecret))
  },
  'POST /secrets/create': ({ body }) => {
    const name = String(body['Name'])
    return writing('createSecret', name, async (swarm) => ({ ID: await swarm.createSecret(name, labelsIn(body), bytesIn(body)) }))
  },
  'DELETE /secrets/ID': ({ id }) => writing('removeSecret', id, (swarm) => swarm.removeSecret(id)),
}

function reading(name: string, target: string, read: (swarm: SimulatedSwarm) => Promise<unknown>): DockerdCall {
  return { name, target, isWrite: false, perform: (swarm) => asDockerode(read(swarm)) }
}

function writing(name: string, target: string, write: (swarm: SimulatedSwarm) => Promise<unknown>): DockerdCall {
  return { name, target, isWrite: true, perform: (swarm) => asDockerode(write(swarm)) }
}

function updating(name: string, { id, query }: Asked, write: (swarm: SimulatedSwarm, version: number) => Promise<unknown>): DockerdCall {
  const version = Number(query['version'])
  // As dockerd reads it, which has no default.
  if (!Number.isInteger(version)) return writing(name, id, () => Promise.reject(answered(400, `${name}: invalid version`)))
  return { ...writing(name, id, (swarm) => write(swarm, version)), versionOf: version }
}

/** The simulated Swarm throws what the port throws, with the answer that it was made of as the cause. */
async function asDockerode(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer
  } catch (error) {
    throw error instanceof PortError ? error.cause : error
  }
}

/** dockerode's error for an unsuccessful answer. */
export function answered(statusCode: number, message: string): Error {
  return Object.assign(new Error(`(HTTP code ${statusCode}) ${message}`), { statusCode, json: { message } })
}

/** dockerode's error without an answer. */
export function unanswered(): Error {
  return Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
}

export const noLeader =
  'rpc error: code = Unknown desc = The swarm does not have a leader. It is possible that too few managers are online.'

/** By its ID, its name, or the beginning of its ID. */
function serviceCalled(swarm: SimulatedSwarm, nameOrId: string): SwarmService {
  const found = swarm.services.get(nameOrId) ?? swarm.service(nameOrId)
  const [begun, ...others] = [...swarm.services.values()].filter((one) => one.id.startsWith(nameOrId))
  const service = found ?? (others.length === 0 ? begun : undefined)
  if (service === undefined) throw answered(404, `service ${nameOrId} not found`)
  return { ...service }
}

function filter(query: Asked['query'], key: string): string | undefined {
  const filters = query['filters'] === undefined ? {} : (JSON.parse(String(query['filters'])) as Record<string, readonly string[]>)
  return filters[key]?.[0]
}

function labelsIn(spec: RawSpec): Labels {
  return rawObject(spec['Labels']) as Labels
}

function bytesIn(spec: RawSpec): Uint8Array {
  return new Uint8Array(Buffer.from(String(spec['Data']), 'base64'))
}

function identity({ id, version }: { readonly id: string; readonly version: number }): RawSpec {
  return { ID: id, Version: { Index: version } }
}

function rawNode(node: SwarmNode): RawSpec {
  const { hostname, memoryBytes, nanoCpus, state, spec } = node
  const Resources = { MemoryBytes: memoryBytes, NanoCPUs: nanoCpus }
  return { ...identity(node), Spec: spec, Description: { Hostname: hostname, Resources }, Status: { State: state } }
}

function rawService(service: SwarmService): RawSpec {
  const { spec, previousSpec } = service
  return { ...identity(service), Spec: spec, ...(previousSpec === undefined ? {} : { PreviousSpec: previousSpec }) }
}

function rawTask(task: SwarmTask): RawSpec {
  const { id, serviceId, nodeId, slot, state, desiredState, message, error, updatedAt, exitCode, containerId, addresses, configs } = task
  const ContainerStatus = { ContainerID: containerId, ExitCode: exitCode }
  const attachments = Object.entries(addresses).map(([Name, address]) => ({ Network: { Spec: { Name } }, Addresses: [`${address}/24`] }))
  return {
    ID: id,
    ServiceID: serviceId,
    NodeID: nodeId,
    Slot: slot,
    Status: { State: state, Message: message, Err: error, Timestamp: updatedAt, ContainerStatus },
    DesiredState: desiredState,
    NetworksAttachments: attachments,
    ...(configs === undefined ? {} : { Spec: { ContainerSpec: { Configs: configs.map((ConfigName) => ({ ConfigName })) } } }),
  }
}

function rawSecret(secret: SwarmSecret): RawSpec {
  return { ...identity(secret), CreatedAt: secret.createdAt, Spec: { Name: secret.name, Labels: secret.labels } }
}

function rawConfig(config: SwarmConfig): RawSpec {
  const Data = Buffer.from(config.data).toString('base64')
  return { ...identity(config), CreatedAt: config.createdAt, Spec: { Name: config.name, Labels: config.labels, Data } }
}

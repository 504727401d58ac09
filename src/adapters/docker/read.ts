import { PortError } from '../../ports/errors.ts'
import type { Labels, SwarmConfig, SwarmNode, SwarmSecret, SwarmService, SwarmTask } from '../../ports/swarm.ts'
import { isNodeId } from '../../api/names.ts'

/** Reads Docker's answers permissively: only the fields in use. */
type Raw = Readonly<Record<string, unknown>>

function record(value: unknown): Raw {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Raw) : {}
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function number(value: unknown): number {
  return typeof value === 'number' ? value : 0
}

function labelsOf(spec: Raw): Labels {
  return Object.fromEntries(
    Object.entries(record(spec['Labels'])).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  )
}

/** An object without ID or version is unusable, so the answer is invalid. */
function identityOf(raw: Raw): { id: string; version: number } {
  const id = text(raw['ID'])
  const version = record(raw['Version'])['Index']
  if (id === '' || typeof version !== 'number')
    throw new PortError('Unavailable', 'Docker answered with an object that has no ID or version')
  return { id, version }
}

/** Reads every element of a list. Throws if the answer is not a list. */
export function readList<Item>(answer: unknown, read: (raw: unknown) => Item): Item[] {
  // A daemon writes null for an empty list.
  if (answer === null) return []
  if (!Array.isArray(answer)) throw new PortError('Unavailable', 'Docker did not answer with a list')
  return answer.map(read)
}

export function readNode(answer: unknown): SwarmNode {
  const raw = record(answer)
  const spec = record(raw['Spec'])
  const description = record(raw['Description'])
  const resources = record(description['Resources'])
  const { id, version } = identityOf(raw)
  if (!isNodeId(id)) throw new PortError('Unavailable', `Docker answered with a node of the ID ${id.slice(0, 100)}`)
  return {
    id,
    version,
    hostname: text(description['Hostname']),
    labels: labelsOf(spec),
    role: spec['Role'] === 'manager' ? 'manager' : 'worker',
    availability: spec['Availability'] === 'pause' ? 'pause' : spec['Availability'] === 'drain' ? 'drain' : 'active',
    state: text(record(raw['Status'])['State']),
    memoryBytes: number(resources['MemoryBytes']),
    nanoCpus: number(resources['NanoCPUs']),
    ...nodeAddresses(raw),
    spec,
  }
}

/** A manager's own address, with a port, is in `ManagerStatus.Addr`. Its `Status.Addr` may be the address of a proxy. */
function nodeAddresses(raw: Raw): Pick<SwarmNode, 'addresses'> {
  const manager = text(record(raw['ManagerStatus'])['Addr'])
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
  const addresses = [...new Set([text(record(raw['Status'])['Addr']), manager])].filter((one) => one !== '')
  return addresses.length === 0 ? {} : { addresses }
}

export function readService(answer: unknown): SwarmService {
  const raw = record(answer)
  const spec = record(raw['Spec'])
  const previous = raw['PreviousSpec']
  const base = { ...identityOf(raw), name: text(spec['Name']), labels: labelsOf(spec), spec }
  return previous === undefined || previous === null ? base : { ...base, previousSpec: record(previous) }
}

export function readTask(answer: unknown): SwarmTask {
  const raw = record(answer)
  const status = record(raw['Status'])
  const container = record(status['ContainerStatus'])
  const containerId = text(container['ContainerID'])
  const nodeId = text(raw['NodeID'])
  return {
    id: text(raw['ID']),
    serviceId: text(raw['ServiceID']),
    nodeId: isNodeId(nodeId) ? nodeId : undefined,
    slot: typeof raw['Slot'] === 'number' ? raw['Slot'] : undefined,
    state: text(status['State']),
    desiredState: text(raw['DesiredState']),
    message: text(status['Message']),
    error: text(status['Err']),
    updatedAt: text(status['Timestamp']),
    ...(typeof raw['CreatedAt'] === 'string' ? { createdAt: raw['CreatedAt'] } : {}),
    exitCode: typeof container['ExitCode'] === 'number' ? container['ExitCode'] : undefined,
    containerId: containerId === '' ? undefined : containerId,
    addresses: addressesOf(raw['NetworksAttachments']),
    ...configsOf(record(raw['Spec'])['ContainerSpec']),
  }
}

function configsOf(container: unknown): Pick<SwarmTask, 'configs'> {
  const list = record(container)['Configs']
  return Array.isArray(list) ? { configs: list.map((one) => text(record(one)['ConfigName'])) } : {}
}

function addressesOf(attachments: unknown): Record<string, string> {
  const list = Array.isArray(attachments) ? attachments.map(record) : []
  const pairs = list.flatMap((attachment): [string, string][] => {
    const name = text(record(record(attachment['Network'])['Spec'])['Name'])
    const addresses = Array.isArray(attachment['Addresses']) ? attachment['Addresses'] : []
    const address = addresses.map(text).find((one) => /^\d+\.\d+\.\d+\.\d+(\/|$)/.test(one))
    return name === '' || address === undefined ? [] : [[name, address.replace(/\/.*$/, '')]]
  })
  return Object.fromEntries(pairs)
}

export function readSecret(answer: unknown): SwarmSecret {
  const raw = record(answer)
  const spec = record(raw['Spec'])
  return { ...identityOf(raw), name: text(spec['Name']), labels: labelsOf(spec), createdAt: text(raw['CreatedAt']) }
}

export function readConfig(answer: unknown): SwarmConfig {
  const data = text(record(record(answer)['Spec'])['Data'])
  return { ...readSecret(answer), data: new Uint8Array(Buffer.from(data, 'base64')) }
}

/** The ID from the answer to a create. */
export function readCreated(answer: unknown): string {
  const raw = record(answer)
  const id = text(raw['ID']) || text(raw['Id'])
  if (id === '') throw new PortError('Unavailable', 'Docker answered a create without an ID')
  return id
}

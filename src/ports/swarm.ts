import type { NodeId } from '../api/names.ts'

/**
 * The Swarm API for the controller. Objects contain Docker's complete spec (`spec`), so that an update sends all unknown fields back. The
 * fields in use are read permissively. Every method throws PortError; `undefined` always means a 404.
 */

/** Raft's version of one object. An update with an old version fails with Conflict. */
export type ObjectVersion = number
export type Labels = Readonly<Record<string, string>>
/** A spec with the field names of the Engine API. */
export type RawSpec = Readonly<Record<string, unknown>>

export interface SwarmNode {
  readonly id: NodeId
  readonly version: ObjectVersion
  readonly hostname: string
  readonly labels: Labels
  readonly role: 'manager' | 'worker'
  readonly availability: 'active' | 'pause' | 'drain'
  /** `ready` or `down`, as the managers report it. */
  readonly state: string
  readonly memoryBytes: number
  readonly nanoCpus: number
  /** The node's IP addresses in the Swarm; absent if Docker reports none. */
  readonly addresses?: readonly string[]
  readonly spec: RawSpec
}

export interface SwarmService {
  readonly id: string
  readonly version: ObjectVersion
  readonly name: string
  readonly labels: Labels
  readonly spec: RawSpec
  /** The spec before the last update, which a rollback restores. The objects that it refers to are still in use. */
  readonly previousSpec?: RawSpec
}

export interface SwarmTask {
  readonly id: string
  readonly serviceId: string
  readonly nodeId: NodeId | undefined
  readonly slot: number | undefined
  /**
   * `new`, `pending`, `assigned`, `preparing`, `starting`, `running`, `complete`, `shutdown`, `failed`, `rejected`, `remove`, `orphaned`.
   * May be out of date.
   */
  readonly state: string
  readonly desiredState: string
  readonly message: string
  readonly error: string
  /** RFC 3339. */
  readonly updatedAt: string
  /** RFC 3339, set by the manager that created it. Undefined if Docker does not report it. */
  readonly createdAt?: string
  readonly exitCode: number | undefined
  readonly containerId: string | undefined
  /** IPv4 addresses by network name. */
  readonly addresses: Readonly<Record<string, string>>
  /** Names of the configs in its template; undefined if Docker does not report them. */
  readonly configs?: readonly string[]
}

export interface SwarmConfig {
  readonly id: string
  readonly version: ObjectVersion
  readonly name: string
  readonly labels: Labels
  readonly data: Uint8Array
  readonly createdAt: string
}

/** Docker never returns the data of a secret. */
export type SwarmSecret = Omit<SwarmConfig, 'data'>

export interface SwarmEvent {
  readonly type: 'service' | 'node' | 'config' | 'secret' | 'network' | 'container' | 'other'
  readonly action: string
  readonly id: string
  readonly name: string
}

export interface Swarm {
  listNodes(signal?: AbortSignal): Promise<readonly SwarmNode[]>
  /** Sends the complete spec of `node` with other labels. */
  updateNodeLabels(node: SwarmNode, labels: Labels, signal?: AbortSignal): Promise<void>

  /** All services with this label (`key` or `key=value`); all services without an argument. */
  listServices(label?: string, signal?: AbortSignal): Promise<readonly SwarmService[]>
  getService(nameOrId: string, signal?: AbortSignal): Promise<SwarmService | undefined>
  /** Returns the new id. Throws Conflict if the name is taken. */
  createService(spec: RawSpec, signal?: AbortSignal): Promise<string>
  /** `spec` replaces the complete spec; `version` is the observed one. */
  updateService(id: string, version: ObjectVersion, spec: RawSpec, signal?: AbortSignal): Promise<void>
  removeService(id: string, signal?: AbortSignal): Promise<void>

  listTasks(filter: { readonly serviceId?: string; readonly nodeId?: NodeId }, signal?: AbortSignal): Promise<readonly SwarmTask[]>

  listConfigs(label: string, signal?: AbortSignal): Promise<readonly SwarmConfig[]>
  getConfig(name: string, signal?: AbortSignal): Promise<SwarmConfig | undefined>
  /** Returns the new id. Throws Conflict if the name is taken. */
  createConfig(name: string, labels: Labels, data: Uint8Array, signal?: AbortSignal): Promise<string>
  /** Only labels can change; data cannot. */
  updateConfigLabels(config: SwarmConfig, labels: Labels, signal?: AbortSignal): Promise<void>
  removeConfig(id: string, signal?: AbortSignal): Promise<void>

  listSecrets(label: string, signal?: AbortSignal): Promise<readonly SwarmSecret[]>
  createSecret(name: string, labels: Labels, data: Uint8Array, signal?: AbortSignal): Promise<string>
  removeSecret(id: string, signal?: AbortSignal): Promise<void>

  /** The negotiated API version, such as `1.41`; hardening fields exist from 1.44. */
  apiVersion(signal?: AbortSignal): Promise<string>
  /** Events can be late, duplicated or lost. Ends when the signal is aborted; throws Unavailable if the stream breaks. */
  events(signal: AbortSignal): AsyncIterable<SwarmEvent>
}

/**
 * The Swarm as the controller uses it. Objects carry the whole spec as Docker gave it (`spec`), so that an update sends back every field
 * we do not know; the fields in use are read from it permissively. Every method throws PortError; `undefined` is a certain 404 and nothing else.
 */

/** Raft's version of one object; an update with an old one fails with Conflict. */
export type ObjectVersion = number
export type Labels = Readonly<Record<string, string>>
/** A spec in Docker's own shape and spelling (Engine API). */
export type RawSpec = Readonly<Record<string, unknown>>

export interface SwarmNode {
  readonly id: string
  readonly version: ObjectVersion
  readonly hostname: string
  readonly labels: Labels
  readonly role: 'manager' | 'worker'
  readonly availability: 'active' | 'pause' | 'drain'
  /** `ready` or `down`, as managers believe it. */
  readonly state: string
  readonly memoryBytes: number
  readonly nanoCpus: number
  /** IP addresses by which the Swarm knows it; absent where Docker names none. */
  readonly addresses?: readonly string[]
  readonly spec: RawSpec
}

export interface SwarmService {
  readonly id: string
  readonly version: ObjectVersion
  readonly name: string
  readonly labels: Labels
  readonly spec: RawSpec
  /** The spec before the last update, to which a rollback goes back; what it refers to is still in use. */
  readonly previousSpec?: RawSpec
}

export interface SwarmTask {
  readonly id: string
  readonly serviceId: string
  readonly nodeId: string | undefined
  readonly slot: number | undefined
  /** `new`, `pending`, `assigned`, `preparing`, `starting`, `running`, `complete`, `shutdown`, `failed`, `rejected`, `remove`, `orphaned`. A claim, not a fact. */
  readonly state: string
  readonly desiredState: string
  readonly message: string
  readonly error: string
  /** RFC 3339. */
  readonly updatedAt: string
  /** RFC 3339, by the manager that made it. Undefined where Docker does not say. */
  readonly createdAt?: string
  readonly exitCode: number | undefined
  readonly containerId: string | undefined
  /** IPv4 addresses by network name. */
  readonly addresses: Readonly<Record<string, string>>
  /** Names of the configs that its template refers to; undefined where Docker does not say. */
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

/** Secrets never give their data back. */
export type SwarmSecret = Omit<SwarmConfig, 'data'>

export interface SwarmEvent {
  readonly type: 'service' | 'node' | 'config' | 'secret' | 'network' | 'container' | 'other'
  readonly action: string
  readonly id: string
  readonly name: string
}

export interface Swarm {
  listNodes(signal?: AbortSignal): Promise<readonly SwarmNode[]>
  /** Sends back the whole spec of `node` with other labels. */
  updateNodeLabels(node: SwarmNode, labels: Labels, signal?: AbortSignal): Promise<void>

  /** All services that carry this label (`key` or `key=value`); without one, all. */
  listServices(label?: string, signal?: AbortSignal): Promise<readonly SwarmService[]>
  getService(nameOrId: string, signal?: AbortSignal): Promise<SwarmService | undefined>
  /** Returns the new id. A taken name is Conflict. */
  createService(spec: RawSpec, signal?: AbortSignal): Promise<string>
  /** `spec` replaces the whole; `version` is the one that was observed. */
  updateService(id: string, version: ObjectVersion, spec: RawSpec, signal?: AbortSignal): Promise<void>
  removeService(id: string, signal?: AbortSignal): Promise<void>

  listTasks(filter: { readonly serviceId?: string; readonly nodeId?: string }, signal?: AbortSignal): Promise<readonly SwarmTask[]>

  listConfigs(label: string, signal?: AbortSignal): Promise<readonly SwarmConfig[]>
  getConfig(name: string, signal?: AbortSignal): Promise<SwarmConfig | undefined>
  /** Returns the new id. A taken name is Conflict. */
  createConfig(name: string, labels: Labels, data: Uint8Array, signal?: AbortSignal): Promise<string>
  /** Data cannot change; labels can. */
  updateConfigLabels(config: SwarmConfig, labels: Labels, signal?: AbortSignal): Promise<void>
  removeConfig(id: string, signal?: AbortSignal): Promise<void>

  listSecrets(label: string, signal?: AbortSignal): Promise<readonly SwarmSecret[]>
  createSecret(name: string, labels: Labels, data: Uint8Array, signal?: AbortSignal): Promise<string>
  removeSecret(id: string, signal?: AbortSignal): Promise<void>

  /** The negotiated API version, such as `1.41`; hardening fields exist from 1.44. */
  apiVersion(signal?: AbortSignal): Promise<string>
  /** Hints only: they may be late, doubled or lost. Ends when the signal is aborted; throws Unavailable when the stream breaks. */
  events(signal: AbortSignal): AsyncIterable<SwarmEvent>
}

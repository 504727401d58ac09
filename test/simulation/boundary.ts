import { portErrorOf } from '../../src/adapters/docker/errors.ts'
import type { Agent, Agents } from '../../src/ports/agents.ts'
import type { Clock } from '../../src/ports/clock.ts'
import { PortError } from '../../src/ports/errors.ts'
import type { Swarm } from '../../src/ports/swarm.ts'
import type { CallFaultKind, Fault } from './faults.ts'
import type { Judged, Write } from './invariants.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { SimulatedSwarm } from './simulated-swarm.ts'

/** One life of a controller: what it is given stops for ever when it dies, and nothing it remembers is kept. */
export interface Life {
  readonly number: number
  alive: boolean
  /** Versions it was given, by object. */
  readonly seen: Map<string, Set<number>>
}

export interface BoundaryPorts {
  readonly swarm: SimulatedSwarm
  readonly agents: Agents
  readonly time: Clock
  readonly random: SeededRandom
  readonly faults: readonly Fault[]
  readonly onWrite: (write: Write) => void
  readonly onCrash: (life: Life) => void
  /** A fault took hold, whose consequences may last until then. */
  readonly onFault: (untilMs: number) => void
  readonly trace: (line: string) => void
}

interface Call<T> {
  readonly name: string
  readonly target: string
  readonly isWrite: boolean
  readonly perform: (swarm: SimulatedSwarm) => Promise<T>
  readonly versionOf?: number
}

const hangMs = 15_000
/** As long as the oldest state that a read may still be answered from. */
const keptStates = 6

/** Where a controller's calls leave it: every one is numbered, takes a little time, and may meet a fault. */
export class Boundary {
  calls = 0
  /** Numbers of the calls that write. */
  readonly writeCalls: number[] = []
  /** Every call fails, as without a leader. */
  swarmAway = false
  /** Reads of everybody are this many writes behind. */
  staleWrites = 0
  readonly #ports: BoundaryPorts
  readonly #callFaults = new Map<number, CallFaultKind>()
  readonly #staleCalls = new Map<number, number>()
  readonly #states: SimulatedSwarm[] = []
  readonly #keepsStates: boolean

  constructor(ports: BoundaryPorts) {
    this.#ports = ports
    for (const one of ports.faults) {
      if (one.kind === 'call') this.#callFaults.set(one.call, one.what)
      if (one.kind === 'stale') this.#staleCalls.set(one.call, one.writes)
    }
    this.#keepsStates = this.#staleCalls.size > 0 || ports.faults.some((one) => one.kind === 'window' && one.what === 'stale-reads')
  }

  /** After each write, whoever made it. */
  written(): void {
    if (!this.#keepsStates) return
    this.#states.push(this.#ports.swarm.fork())
    if (this.#states.length > keptStates) this.#states.shift()
  }

  swarmFor(life: Life): Omit<Swarm, 'events'> {
    const read = <T>(name: string, target: string, perform: (swarm: SimulatedSwarm) => Promise<T>): Promise<T> =>
      this.#call(life, { name, target, isWrite: false, perform })
    const write = <T>(name: string, target: string, perform: (swarm: SimulatedSwarm) => Promise<T>, versionOf?: number): Promise<T> =>
      this.#call(life, { name, target, isWrite: true, perform, ...(versionOf === undefined ? {} : { versionOf }) })
    return {
      listNodes: () => read('listNodes', '', (swarm) => swarm.listNodes()),
      listServices: (label) => read('listServices', label ?? '', (swarm) => swarm.listServices(label)),
      getService: (name) => absence(read('getService', name, (swarm) => swarm.getService(name))),
      listTasks: (filter) => read('listTasks', filter.serviceId ?? filter.nodeId ?? '', (swarm) => swarm.listTasks(filter)),
      listConfigs: (label) => read('listConfigs', label, (swarm) => swarm.listConfigs(label)),
      getConfig: (name) => absence(read('getConfig', name, (swarm) => swarm.getConfig(name))),
      listSecrets: (label) => read('listSecrets', label, (swarm) => swarm.listSecrets(label)),
      // Negotiated once by the adapter and then known.
      apiVersion: () => this.#ports.swarm.apiVersion(),
      updateNodeLabels: (node, labels) => write('updateNodeLabels', node.id, (swarm) => swarm.updateNodeLabels(node, labels), node.version),
      createService: (spec) => write('createService', String(spec['Name']), (swarm) => swarm.createService(spec)),
      updateService: (id, version, spec) => write('updateService', id, (swarm) => swarm.updateService(id, version, spec), version),
      removeService: (id) => write('removeService', id, (swarm) => swarm.removeService(id)),
      createConfig: (name, labels, data) => write('createConfig', name, (swarm) => swarm.createConfig(name, labels, data)),
      updateConfigLabels: (config, labels) =>
        write('updateConfigLabels', config.id, (swarm) => swarm.updateConfigLabels(config, labels), config.version),
      removeConfig: (id) => write('removeConfig', id, (swarm) => swarm.removeConfig(id)),
      createSecret: (name, labels, data) => write('createSecret', name, (swarm) => swarm.createSecret(name, labels, data)),
      removeSecret: (id) => write('removeSecret', id, (swarm) => swarm.removeSecret(id)),
    }
  }

  agentsFor(life: Life): Agents {
    const on = (nodeId: string): Agent => {
      const agent = this.#ports.agents.on(nodeId)
      const call = <T>(name: string, perform: () => Promise<T>): Promise<T> =>
        this.#call(life, { name, target: nodeId, isWrite: false, perform })
      return {
        facts: () => call('facts', () => agent.facts()),
        instances: () => call('instances', () => agent.instances()),
        prepare: (order) => call('prepare', () => agent.prepare(order)),
        revoke: (uid) => call('revoke', () => agent.revoke(uid)),
        vm: (uid) => call('vm', () => agent.vm(uid)),
        probe: (request) => call('probe', () => agent.probe(request)),
      }
    }
    return { on }
  }

  #call<T>(life: Life, call: Call<T>): Promise<T> {
    if (!life.alive) return new Promise(() => {})
    this.calls += 1
    const number = this.calls
    if (call.isWrite) this.writeCalls.push(number)
    const fault = this.#callFaults.get(number)
    if (fault !== undefined) return this.#faulty(life, call, number, fault)
    return new Promise((resolve, reject) => {
      this.#ports.time.after(this.#ports.random.int(1, 5), () => {
        void this.#perform(life, call, number).then(
          (value) => this.#reply(life, () => resolve(value)),
          (error: unknown) => this.#reply(life, () => reject(error)),
        )
      })
    })
  }

  #faulty<T>(life: Life, call: Call<T>, number: number, fault: CallFaultKind): Promise<T> {
    const { time, onFault, trace } = this.#ports
    trace(`fault at call ${number} ${call.name} ${call.target}: ${fault}`)
    onFault(time.now() + (fault.startsWith('hang') ? hangMs : 0))
    return new Promise((resolve, reject) => {
      const later = (ms: number, callback: () => void): void => void time.after(ms, callback)
      const perform = (): Promise<T> => this.#perform(life, call, number)
      const unanswered = (): void => this.#reply(life, () => reject(unavailable(call.name)))
      const settle = (): void => {
        void perform().then(
          (value) => this.#reply(life, () => resolve(value)),
          (error: unknown) => this.#reply(life, () => reject(error)),
        )
      }
      switch (fault) {
        case 'crash-before':
          return this.#crash(life)
        case 'crash-committed':
          return later(2, () => {
            void perform().catch(() => undefined)
            this.#crash(life)
          })
        case 'crash-after':
          return later(2, () => {
            const end = (give: () => void): void => {
              give()
              this.#crash(life)
            }
            void perform().then(
              (value) => end(() => resolve(value)),
              (error: unknown) => end(() => reject(error)),
            )
          })
        case 'lost-request':
          return later(3, unanswered)
        case 'lost-reply':
          return later(2, () => void perform().then(unanswered, unanswered))
        case 'hang':
          return later(hangMs, settle)
        case 'hang-lost':
          return later(
            2,
            () =>
              void perform().then(
                () => later(hangMs, unanswered),
                () => later(hangMs, unanswered),
              ),
          )
        case 'hang-failed':
          return later(hangMs, unanswered)
        default:
          return fault satisfies never
      }
    })
  }

  #crash(life: Life): void {
    if (!life.alive) return
    life.alive = false
    this.#ports.onCrash(life)
  }

  #reply(life: Life, give: () => void): void {
    if (life.alive) give()
  }

  async #perform<T>(life: Life, call: Call<T>, number: number): Promise<T> {
    const { swarm } = this.#ports
    const isSwarm = !agentCalls.has(call.name)
    if (isSwarm && this.swarmAway) {
      this.#note(life, call, number, 'no leader')
      throw unavailable(call.name)
    }
    if (call.isWrite) return this.#write(life, call, number)
    const behind = isSwarm ? (this.#staleCalls.get(number) ?? this.staleWrites) : 0
    const state = behind === 0 ? swarm : (this.#states.at(-1 - behind) ?? this.#states[0] ?? swarm)
    if (this.#staleCalls.has(number)) this.#ports.onFault(this.#ports.time.now())
    try {
      const value = await call.perform(state)
      this.#note(life, call, number, behind === 0 ? '' : `${behind} writes behind`)
      remember(life, value)
      return value
    } catch (error) {
      this.#note(life, call, number, error instanceof PortError ? error.kind : 'error')
      throw error
    }
  }

  /** The simulated Swarm acts before its promise is waited for, so before and after can be compared. */
  async #write<T>(life: Life, call: Call<T>, number: number): Promise<T> {
    const { swarm, onWrite, time } = this.#ports
    const before = find(swarm, call.target)
    const writes = swarm.writes
    const rejected = rejectedTasks(swarm)
    const outcome = call.perform(swarm)
    if (swarm.writes > writes) {
      this.#note(life, call, number, '')
      const after = find(swarm, call.target)
      const seen = life.seen.get(before?.id ?? '') ?? new Set<number>()
      const facts = { call: call.name, before, after, version: call.versionOf, seen, atMs: time.now() }
      onWrite({ ...facts, rejected: rejectedTasks(swarm) - rejected })
    }
    try {
      return await outcome
    } catch (error) {
      this.#note(life, call, number, error instanceof PortError ? `${error.kind} ${error.message}` : 'error')
      throw error
    }
  }

  #note<T>(life: Life, call: Call<T>, number: number, outcome: string): void {
    this.#ports.trace(`c${life.number} #${number} ${call.name} ${call.target}${outcome === '' ? '' : `: ${outcome}`}`)
  }
}

const agentCalls = new Set(['facts', 'instances', 'prepare', 'revoke', 'vm', 'probe'])

function unavailable(name: string): PortError {
  return portErrorOf({ code: 'ECONNRESET', message: 'socket hang up' }, name)
}

/** As the adapter does: a certain 404 is an absence, and nothing else is. */
async function absence<T>(answer: Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof PortError && error.kind === 'NotFound') return undefined
    throw error
  }
}

function remember(life: Life, value: unknown): void {
  const list = Array.isArray(value) ? (value as unknown[]) : [value]
  for (const one of list) {
    const { id, version } = (one ?? {}) as { id?: unknown; version?: unknown }
    if (typeof id !== 'string' || typeof version !== 'number') continue
    const known = life.seen.get(id)
    if (known === undefined) life.seen.set(id, new Set([version]))
    else known.add(version)
  }
}

function find(swarm: SimulatedSwarm, target: string): Judged | undefined {
  const node = swarm.nodes.get(target)
  if (node !== undefined) return { ...node, name: node.hostname }
  const found = swarm.services.get(target) ?? swarm.configs.get(target) ?? swarm.secrets.get(target)
  const named = found ?? swarm.service(target) ?? swarm.config(target) ?? [...swarm.secrets.values()].find((one) => one.name === target)
  return named && { ...named }
}

function rejectedTasks(swarm: SimulatedSwarm): number {
  let count = 0
  for (const task of swarm.tasks.values()) if (task.state === 'rejected' && task.error.startsWith('assigned node')) count += 1
  return count
}

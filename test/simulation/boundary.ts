import type { ByteStream, Dial } from '../../src/adapters/docker/call.ts'
import type { Agent, Agents } from '../../src/ports/agents.ts'
import type { Clock } from '../../src/ports/clock.ts'
import { PortError } from '../../src/ports/errors.ts'
import { messageOf } from '../../src/api/error-message.ts'
import type { SwarmEvent } from '../../src/ports/swarm.ts'
import type { CallFaultKind, Fault } from './faults.ts'
import type { Judged, Write } from './invariants.ts'
import type { SeededRandom } from './seeded-random.ts'
import { answered, dockerdCall, noLeader, unanswered } from './simulated-dockerd.ts'
import type { SimulatedSwarm } from './simulated-swarm.ts'
import type { NodeId } from '../../src/api/names.ts'

/** One life of a controller: its ports stop forever when it dies, and its memory is lost. */
export interface Life {
  readonly number: number
  alive: boolean
  /** Versions it was given, by object. */
  readonly seen: Map<string, Set<number>>
  /** Aborted when the run is over and nobody looks any more; a life that ends earlier does nothing in its end. */
  readonly over: AbortController
}

export interface BoundaryPorts {
  readonly swarm: SimulatedSwarm
  readonly agents: Agents
  readonly time: Clock
  readonly random: SeededRandom
  readonly faults: readonly Fault[]
  readonly onWrite: (write: Write) => void
  /** Something is to be changed, by its id or its name, whether or not that succeeds. */
  readonly onAttempt: (target: string) => void
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
/** More than the oldest state that a read may still be answered from. */
const keptStates = 6
/**
 * Only a leader that was cut off answers with old state, and gives up after 0.9 s. Every manager that answers has all writes that are older
 * than this.
 */
const oldestMs = 2_000

/** Where a controller's calls leave it: every one is numbered, takes a little time, and may meet a fault. */
export class Boundary {
  calls = 0
  /** Numbers of the calls that write. */
  readonly writeCalls: number[] = []
  /** Numbers of the calls that read from the Swarm, of which something was written a moment before. */
  readonly readCalls: number[] = []
  /** Every call fails, as without a leader. */
  swarmAway = false
  /** Reads of everybody are this many writes behind. */
  staleWrites = 0
  readonly #ports: BoundaryPorts
  readonly #callFaults = new Map<number, CallFaultKind>()
  readonly #staleCalls = new Map<number, number>()
  /** After each write, and when that was. */
  readonly #states: { readonly swarm: SimulatedSwarm; readonly atMs: number }[] = []
  readonly #keepsStates: boolean
  #writtenMs = Number.NEGATIVE_INFINITY

  constructor(ports: BoundaryPorts) {
    this.#ports = ports
    for (const one of ports.faults) {
      if (one.kind === 'call') this.#callFaults.set(one.call, one.what)
      if (one.kind === 'stale') this.#staleCalls.set(one.call, one.writes)
    }
    this.#keepsStates = this.#staleCalls.size > 0 || ports.faults.some((one) => one.kind === 'window' && one.what === 'stale-reads')
  }

  /** Called after each write of any program. */
  written(): void {
    this.#writtenMs = this.#ports.time.now()
    if (!this.#keepsStates) return
    this.#states.push({ swarm: this.#ports.swarm.fork(), atMs: this.#writtenMs })
    if (this.#states.length > keptStates) this.#states.shift()
  }

  /** Where dockerd's socket would be: below the adapter, so that its own reading of answers and errors is part of every run. */
  dialFor(life: Life, events: (signal: AbortSignal | undefined) => AsyncIterable<SwarmEvent>): Dial {
    return async (request) => {
      if (request.isStream) return lines(events(request.signal))
      const answer = await this.#call(life, dockerdCall(request))
      return request.asBytes === true ? bytes(answer) : answer
    }
  }

  agentsFor(life: Life): Agents {
    const on = (nodeId: NodeId): Agent => {
      const agent = this.#ports.agents.on(nodeId)
      const call = <T>(name: string, perform: () => Promise<T>): Promise<T> =>
        this.#call(life, { name, target: nodeId, isWrite: false, perform })
      return {
        facts: () => call('facts', () => agent.facts()),
        instances: () => call('instances', () => agent.instances()),
        prepare: (order) => call('prepare', () => agent.prepare(order)),
        progress: (question) => call('progress', () => agent.progress(question)),
        revoke: (uid) => call('revoke', () => agent.revoke(uid)),
        deleteDisks: (order) => call('deleteDisks', () => agent.deleteDisks(order)),
        vm: (uid) => call('vm', () => agent.vm(uid)),
        control: (uid, action) => call('control', () => agent.control(uid, action)),
        probe: (request) => call('probe', () => agent.probe(request)),
        unchanged: (known) => call('unchanged', () => agent.unchanged(known)),
      }
    }
    return { on }
  }

  #call<T>(life: Life, call: Call<T>): Promise<T> {
    if (!life.alive) return new Promise(() => {})
    this.calls += 1
    const number = this.calls
    if (call.isWrite || orders.has(call.name)) this.#ports.onAttempt(call.target)
    if (call.isWrite) this.writeCalls.push(number)
    else if (isOfManagers(call) && this.#ports.time.now() - this.#writtenMs <= oldestMs) this.readCalls.push(number)
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
      const silence = (): void => this.#reply(life, () => reject(isOfAgent(call) ? away() : unanswered()))
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
          return later(3, silence)
        case 'lost-reply':
          return later(2, () => void perform().then(silence, silence))
        case 'hang':
          return later(hangMs, settle)
        case 'hang-lost':
          return later(
            2,
            () =>
              void perform().then(
                () => later(hangMs, silence),
                () => later(hangMs, silence),
              ),
          )
        case 'hang-failed':
          return later(hangMs, silence)
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
    const isSwarm = isOfManagers(call)
    if (isSwarm && this.swarmAway) {
      this.#note(life, call, number, 'no leader')
      throw answered(500, noLeader)
    }
    if (call.isWrite) return this.#write(life, call, number)
    const behind = isSwarm ? (this.#staleCalls.get(number) ?? this.staleWrites) : 0
    const state = this.#stateBefore(behind)
    if (this.#staleCalls.has(number)) this.#ports.onFault(this.#ports.time.now())
    try {
      const value = await call.perform(state)
      this.#note(life, call, number, state === swarm ? '' : `${behind} writes behind`)
      remember(life, value)
      return value
    } catch (error) {
      this.#note(life, call, number, outcomeText(error))
      throw error
    }
  }

  /** As it was before the last so many writes, as far as those are of a moment ago. */
  #stateBefore(writes: number): SimulatedSwarm {
    const nowMs = this.#ports.time.now()
    let state = this.#ports.swarm
    for (let back = 1; back <= writes; back += 1) {
      const [undone, before] = [this.#states.at(-back), this.#states.at(-1 - back)]
      if (undone === undefined || before === undefined || nowMs - undone.atMs > oldestMs) break
      state = before.swarm
    }
    return state
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
      this.#note(life, call, number, outcomeText(error))
      throw error
    }
  }

  #note<T>(life: Life, call: Call<T>, number: number, outcome: string): void {
    this.#ports.trace(`c${life.number} #${number} ${call.name} ${call.target}${outcome === '' ? '' : `: ${outcome}`}`)
  }
}

/** They change something on a node. */
const orders = new Set(['prepare', 'revoke', 'deleteDisks'])
const agentCalls = new Set(['facts', 'instances', 'prepare', 'progress', 'revoke', 'deleteDisks', 'vm', 'control', 'probe', 'unchanged'])

function isOfAgent({ name }: { readonly name: string }): boolean {
  return agentCalls.has(name)
}

/** dockerd sets its version. */
function isOfManagers(call: { readonly name: string }): boolean {
  return !isOfAgent(call) && call.name !== 'version'
}

function away(): PortError {
  return new PortError('Unavailable', 'socket hang up')
}

function lines(events: AsyncIterable<SwarmEvent>): ByteStream {
  async function* read(): AsyncGenerator<string> {
    for await (const { type, action, id, name } of events)
      yield `${JSON.stringify({ Type: type, Action: action, Actor: { ID: id, Attributes: { name } } })}\n`
  }
  return Object.assign(read(), { destroy: () => undefined })
}

/** Equal values are equal byte for byte, like dockerd's answers. */
function bytes(answer: unknown): ByteStream {
  async function* read(): AsyncGenerator<Uint8Array> {
    yield new TextEncoder().encode(JSON.stringify(answer))
  }
  return Object.assign(read(), { destroy: () => undefined })
}

/** For the trace: the port's kind, or the status and the words of an answer. */
function outcomeText(error: unknown): string {
  return error instanceof Error ? `${error instanceof PortError ? `${error.kind} ` : ''}${error.message}` : messageOf(error)
}

function remember(life: Life, value: unknown): void {
  const list = Array.isArray(value) ? (value as unknown[]) : [value]
  for (const one of list) {
    const { ID: id, Version: version } = (one ?? {}) as { ID?: unknown; Version?: { Index?: unknown } }
    if (typeof id !== 'string' || typeof version?.Index !== 'number') continue
    const known = life.seen.get(id)
    if (known === undefined) life.seen.set(id, new Set([version.Index]))
    else known.add(version.Index)
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

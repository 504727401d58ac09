import { nicFeatures, parentOf } from '../../src/api/nic-attachment.ts'
import type {
  InstanceRecord,
  NodeFacts,
  OrderProgress,
  PrepareOrder,
  PrepareStatus,
  ProbeOutcome,
  ProbeRequest,
  VmStatus,
} from '../../src/api/wire/agent-api.ts'
import { nodeFeatures } from '../../src/api/node-features.ts'
import type { KnownAnswer } from '../../src/api/wire/unchanged.ts'
import type { DeleteDisksOrder, DeletionStatus } from '../../src/api/wire/delete-disks.ts'
import type { Agent, Agents, ProgressQuestion } from '../../src/ports/agents.ts'
import { PortError } from '../../src/ports/errors.ts'
import { stillSame } from '../../src/agent/still-same.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** One node as its agent reports it. Tests assign its state, and `orders` has the controller's requests. */
export class SimulatedAgent implements Agent {
  away = false
  /** Steps the agent still needs before an order is ready. */
  steps = 0
  /** Said instead of preparing anything. */
  refusal: Extract<PrepareStatus, { state: 'failed' }> | undefined
  /** Why it cannot tell yet whether it could grant an edit that waits. */
  undecided: PrepareStatus['pending']
  nodeFacts: NodeFacts
  readonly held = new Map<string, Mutable<InstanceRecord>>()
  readonly orders = new Map<string, PrepareOrder>()
  /** How many orders it was sent, and how often it carried one out. */
  sent = 0
  carriedOut = 0
  /** The devices that its broker would give the runner of a VM. */
  readonly grants = new Map<string, Pick<PrepareOrder, 'accelerator' | 'nics'>>()
  /** The agent is of release 0.1, which does not support the request for many VMs. */
  isOld = false
  readonly #repeatable = new Map<string, PrepareOrder>()
  readonly #answers = new Map<string, PrepareStatus>()
  readonly vms = new Map<string, VmStatus>()
  /** The result of this node's probes. */
  answer: (request: ProbeRequest) => ProbeOutcome = () => unreached

  constructor(hostname: string) {
    this.nodeFacts = factsOf(hostname)
  }

  async facts(): Promise<NodeFacts> {
    this.#reach()
    return structuredClone(this.nodeFacts)
  }

  async instances(): Promise<readonly InstanceRecord[]> {
    this.#reach()
    return structuredClone([...this.held.values()])
  }

  async prepare(order: PrepareOrder): Promise<PrepareStatus> {
    this.#reach()
    this.orders.set(order.uid, order)
    this.sent += 1
    this.#repeatable.set(order.uid, order)
    return this.#answerTo(order)
  }

  #answerTo(order: PrepareOrder): PrepareStatus {
    this.carriedOut += 1
    const answer = this.#judge(order)
    this.#answers.set(order.uid, answer)
    return answer
  }

  #judge(order: PrepareOrder): PrepareStatus {
    const status = this.#carryOut(order)
    if (order.pending === undefined || this.isOld) return status
    const pending = this.undecided ?? this.#refusal(order.pending)
    const answer = pending === undefined ? { pendingAccepted: true as const } : { pending }
    return { ...status, ...answer, ...(order.pending.networks === undefined ? {} : { pendingNetworks: true }) }
  }

  #carryOut(order: PrepareOrder): PrepareStatus {
    if (this.refusal !== undefined) return this.refusal
    const disks = this.held.get(order.uid)?.disks ?? []
    if (order.disksMustExist && disks.length === 0) return { state: 'failed', reason: 'DiskMissing', message: 'the disk is not here' }
    if (this.steps > 0) {
      this.steps -= 1
      return { state: 'preparing', reason: 'CopyingImage', message: `${this.steps} steps left` }
    }
    const refused = this.#refusal(order)
    if (refused !== undefined) return { state: 'failed', ...refused }
    this.held.set(order.uid, this.#made(order))
    this.grants.set(order.uid, { accelerator: order.accelerator, nics: order.nics })
    const accelerator = order.accelerator !== 'tcg' && this.nodeFacts.kvm.state === 'works' ? 'kvm' : 'tcg'
    return {
      state: 'ready',
      accelerator,
      emulationReason: accelerator === 'kvm' || order.accelerator === 'tcg' ? '' : this.nodeFacts.kvm.message,
    }
  }

  /** As if its broker had been started with `--allow-device` for each. */
  allowDevices(...names: readonly string[]): void {
    const direct = names.map((name) => ({ name, mtu: 1500, carrier: true, up: true, address: null, problem: '' }))
    Object.assign(this.nodeFacts.broker ?? {}, { direct })
  }

  /** As the broker judges a grant, and the agent an accelerator. */
  #refusal({ accelerator, nics }: Pick<PrepareOrder, 'accelerator' | 'nics'>): { reason: string; message: string } | undefined {
    const { broker, kvm } = this.nodeFacts
    const bridge = nics
      .filter(({ direct }) => direct === undefined)
      .map(parentOf)
      .find((name) => broker?.bridges.every((one) => one.name !== name))
    if (bridge !== undefined) return { reason: 'BridgeNotAllowed', message: `bridge ${bridge} is not allowed` }
    const mac = nics.map((one) => one.mac).find((one) => !one.startsWith('52:54:00:'))
    if (mac !== undefined) return { reason: 'MacNotAllowed', message: `MAC ${mac} is not allowed` }
    return accelerator === 'kvm' && kvm.state !== 'works' ? { reason: 'KvmUnusable', message: kvm.message } : undefined
  }

  /** As the agent does it. */
  async progress({ uid, order, dryRun }: ProgressQuestion): Promise<OrderProgress | undefined> {
    this.#reach()
    if (this.isOld) return undefined
    const last = this.#repeatable.get(uid)
    if (last?.mark !== order) return { state: 'none' }
    return (dryRun ? this.#answers.get(uid) : this.#answerTo(last)) ?? { state: 'none' }
  }

  async #repeat(uid: string, mark: string): Promise<PrepareStatus | undefined> {
    const order = this.#repeatable.get(uid)
    return order?.mark === mark ? this.#answerTo(order) : undefined
  }

  /** It forgets every order. */
  restart(): void {
    this.#repeatable.clear()
  }

  async revoke(uid: string): Promise<void> {
    this.#reach()
    this.#repeatable.delete(uid)
    const record = this.held.get(uid)
    if (record === undefined) throw new PortError('NotFound', `no VM ${uid} here`)
    record.granted = false
    this.grants.delete(uid)
  }

  /** Only what its identity names goes; a VM that is on keeps its disks. */
  async deleteDisks({ uid, vm, cluster }: DeleteDisksOrder): Promise<DeletionStatus> {
    this.#reach()
    this.#repeatable.delete(uid)
    const there = this.held.get(uid)
    if (there === undefined) return { state: 'gone' }
    if (there.vm !== vm || there.cluster !== cluster)
      return { state: 'failed', reason: 'IdentityMismatch', message: `${uid} is ${there.vm} of ${there.cluster}` }
    there.granted = false
    this.grants.delete(uid)
    if (this.isOn(uid)) return { state: 'waiting', reason: 'DiskInUse', message: 'a runner holds its lease' }
    this.held.delete(uid)
    return { state: 'gone' }
  }

  /** Whether a runner of this VM is here. */
  isOn(_uid: string): boolean {
    return false
  }

  async vm(uid: string): Promise<VmStatus> {
    this.#reach()
    const status = this.vms.get(uid)
    if (status === undefined) throw new PortError('NotFound', `no VM ${uid} here`)
    return structuredClone(status)
  }

  async control(): Promise<void> {}

  async probe(request: ProbeRequest): Promise<ProbeOutcome> {
    this.#reach()
    return this.answer(request)
  }

  /** As the agent does it, with the answers that are given to single questions. */
  async unchanged(known: readonly KnownAnswer[]): Promise<readonly number[] | undefined> {
    this.#reach()
    if (this.isOld) return undefined
    const repeat = (uid: string, mark: string) => this.#repeat(uid, mark)
    return stillSame({ vm: (uid) => this.vm(uid), repeat, probe: (request) => this.probe(request) }, known, undefined)
  }

  #made(order: PrepareOrder): InstanceRecord {
    const disks = order.disks.map(({ name, sizeBytes, image }) => ({
      name,
      sizeBytes,
      allocatedBytes: 0,
      ...(image === undefined ? { blank: true as const } : { image: { source: image.source, sha256: image.sha256 ?? '0'.repeat(64) } }),
    }))
    return { uid: order.uid, vm: order.vm, cluster: order.cluster, disks, granted: true }
  }

  #reach(): void {
    if (this.away) throw new PortError('Unavailable', 'connect ECONNREFUSED')
  }
}

export class SimulatedAgents implements Agents {
  readonly byNode = new Map<string, SimulatedAgent>()

  on(nodeId: string): Agent {
    return this.byNode.get(nodeId) ?? Object.assign(new SimulatedAgent(nodeId), { away: true })
  }
}

export const unreached: ProbeOutcome = { outcome: 'unreached', reason: 'NoAnswer', message: 'nothing in 1000 ms', mac: null, rttMs: null }

/** As the lab's nodes are: KVM opens and hangs, TCG works, `br0` is up. */
export function factsOf(hostname: string): NodeFacts {
  const device = { present: true, opens: true, message: '' }
  return {
    version: 1,
    release: '0.1.0',
    hostname,
    broker: {
      devices: { kvm: device, tun: device, vhostNet: device },
      bridges: [{ name: 'br0', mtu: 1500, vlanFiltering: 'on', carrier: true, up: true, address: null }],
      direct: [],
      nicFeatures: [...nicFeatures],
      userNetwork: { interface: 'sv-user', state: 'active', message: '' },
    },
    brokerMessage: '',
    kvm: { state: 'unusable', reason: 'KvmHangs', message: 'no word from the guest in 2 s' },
    tcg: { works: true, message: '' },
    memoryBytes: 8 * 1024 ** 3,
    cpus: 2,
    features: [...nodeFeatures],
    disk: { totalBytes: 100 * 1024 ** 3, freeBytes: 50 * 1024 ** 3 },
  }
}

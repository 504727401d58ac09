import type { ConditionDraft, ConditionType } from '../../src/api/conditions.ts'
import { parseVirtualMachine } from '../../src/api/manifest.ts'
import { isVmName, type VmName } from '../../src/api/names.ts'
import type { NicView } from '../../src/api/wire/controller-api.ts'
import type { Declaration } from '../../src/ports/declarations.ts'
import { PortError } from '../../src/ports/errors.ts'
import type { ClusterSettings } from '../../src/ports/settings.ts'
import type { Labels } from '../../src/ports/swarm.ts'
import { assetsReconciler } from '../../src/reconcilers/assets/index.ts'
import { committedNeed, needOfVm, placementIndex, type Placements } from '../../src/reconcilers/assets/placements.ts'
import { nodesReconciler } from '../../src/reconcilers/nodes/index.ts'
import { reachabilityReconciler } from '../../src/reconcilers/reachability/index.ts'
import type { Plan, Reconciler } from '../../src/reconcilers/reconciler.ts'
import { servicesReconciler } from '../../src/reconcilers/services/index.ts'
import { type PlacementRecord, readPlacementRecord, readPlacementRecords } from '../../src/reconcilers/shared/placement-record.ts'
import { dig, rawNumber } from '../../src/reconcilers/shared/raw.ts'
import { SimulatedAgent, SimulatedAgents } from './simulated-agents.ts'
import { SimulatedSwarm } from './simulated-swarm.ts'
import { aVmName, recordOf, serviceOf } from '../support/branded.ts'

/** Overrides of a manifest's spec, and its `annotations`; what a test does not name is a small valid VM. */
export type SpecChanges = Readonly<Record<string, unknown>>

/** The manifest as a person writes it. */
export function aManifest(name: string, spec: SpecChanges = {}) {
  const { annotations = {}, ...fields } = spec
  return {
    apiVersion: 'swarmvirt.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name, annotations },
    spec: {
      memory: '512Mi',
      disks: [{ name: 'root', size: '2Gi', image: { source: 'images/tiny.qcow2' } }],
      networks: [{ name: 'lan', bridge: 'br0' }],
      ...fields,
    },
  }
}

export function aVm(name: string, spec: SpecChanges = {}): Extract<Declaration, { kind: 'present' }> {
  const parsed = parseVirtualMachine(aManifest(name, spec))
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  return { kind: 'present', vm: parsed.vm, generation: parsed.generation, source: 'directory' }
}

export const settings: ClusterSettings = {
  cluster: 'lab',
  softwareEmulation: true,
  runnerImage: 'swarmvirt-node:1',
  guestsNetwork: 'guests',
  userNetwork: 'user',
  stateRoot: '/var/lib/swarmvirt',
  memoryOverheadMiB: 256,
}

/** There is no other controller. */
const ownLease = { observe: async () => ({ kind: 'ours' }) as const, apply: async () => undefined }

/** Three nodes, the four reconcilers, and time that only the test moves. */
export class Cluster {
  nowMs = Date.parse('2026-01-01T00:00:00Z')
  settings: ClusterSettings = { ...settings }
  readonly swarm = new SimulatedSwarm(() => this.nowMs)
  readonly agents = new SimulatedAgents()
  readonly declared = new Map<string, Declaration>()
  readonly conditions = new Map<string, ConditionDraft>()
  readonly facts = new Map<string, Readonly<Record<string, string>>>()
  readonly nics = new Map<string, readonly NicView[]>()
  /** Failed runs, as `reconciler key: kind`. */
  readonly errors: string[] = []
  /** Changes from outside that were corrected. */
  readonly corrected: string[] = []
  #uuids = 0
  #assets: { readonly settings: ClusterSettings; readonly reconciler: ReturnType<typeof assetsReconciler> } | undefined

  constructor(hostnames: readonly string[] = ['n1', 'n2', 'n3']) {
    for (const hostname of hostnames) this.addNode(hostname)
  }

  addNode(hostname: string, labels: Labels = {}): void {
    this.agents.byNode.set(this.swarm.addNode(hostname, labels), new SimulatedAgent(hostname))
  }

  agent(hostname: string): SimulatedAgent {
    const found = this.agents.byNode.get(`node-${hostname}`)
    if (found === undefined) throw new Error(`no node ${hostname}`)
    return found
  }

  declare(name: string, spec: SpecChanges = {}): void {
    this.declared.set(name, aVm(name, spec))
  }

  remove(name: string): void {
    this.declared.set(name, { kind: 'removed' })
  }

  record(name: string): PlacementRecord | undefined {
    const config = this.swarm.config(recordOf(name))
    return config === undefined ? undefined : readPlacementRecord(config)
  }

  condition(vm: string, type: ConditionType): ConditionDraft | undefined {
    return this.conditions.get(`${vm}/${type}`)
  }

  /** `True Placed` for short. */
  said(vm: string, type: ConditionType): string {
    const found = this.condition(vm, type)
    return found === undefined ? 'absent' : `${found.status} ${found.reason}`
  }

  #placements(): Placements {
    const index = placementIndex((vm) => {
      const declared = this.declared.get(vm)
      const service = this.swarm.service(serviceOf(vm))
      const reserved = rawNumber(dig(service?.spec, 'TaskTemplate', 'Resources', 'Reservations', 'MemoryBytes')) ?? 0
      return committedNeed(declared?.kind === 'present' ? needOfVm(declared.vm, this.settings) : undefined, reserved)
    })
    for (const record of readPlacementRecords([...this.swarm.configs.values()])) index.put(record.config.name, record)
    return index
  }

  ports() {
    const present = (): VmName[] => [...this.declared].filter(([, one]) => one.kind === 'present').map(([name]) => aVmName(name))
    return {
      swarm: this.swarm,
      recent: this.swarm,
      placements: async () => this.#placements(),
      agents: this.agents,
      lease: ownLease,
      declarations: {
        get: (vm: string): Declaration => this.declared.get(vm) ?? { kind: 'unknown', message: '' },
        names: present,
        knows: (vm: string): vm is VmName => isVmName(vm) && this.declared.has(vm),
        isNowhere: (vm: string): boolean => (this.declared.get(vm)?.kind ?? 'removed') === 'removed',
      },
      settings: this.settings,
      random: { uuid: () => this.#uuid(), next: () => 0.5 },
      clock: { now: () => this.nowMs, elapsed: () => this.nowMs },
    }
  }

  /** The same in all rounds: it remembers an answer until the next run. */
  #assetsReconciler() {
    if (this.#assets?.settings !== this.settings) this.#assets = { settings: this.settings, reconciler: assetsReconciler(this.ports()) }
    return this.#assets.reconciler
  }

  /** Runs every reconciler on every key until a whole round writes nothing; returns how many rounds that took. */
  async converge(maxRounds = 40): Promise<number> {
    for (let round = 1; round <= maxRounds; round += 1) {
      const before = this.swarm.writes
      const busy = await this.round()
      if (!busy && this.swarm.writes === before) return round
    }
    throw new Error(`no fixpoint after ${maxRounds} rounds; errors: ${this.errors.slice(-5).join(', ')}`)
  }

  /** One run of every key; true while something is under way that is no write of ours. */
  async round(): Promise<boolean> {
    const ports = this.ports()
    let hasOrdered = false
    this.swarm.settle()
    for (const id of this.swarm.nodes.keys()) await this.run(nodesReconciler(ports), id)
    for (const vm of this.declared.keys()) {
      const plan = await this.run(this.#assetsReconciler(), vm)
      hasOrdered ||= plan?.actions.some((one) => one.kind === 'prepare') === true
      await this.run(servicesReconciler(ports), vm)
      await this.run(reachabilityReconciler(ports), vm)
    }
    this.nowMs += 1_000
    return hasOrdered || [...this.agents.byNode.values()].some((one) => one.steps > 0)
  }

  async run<Seen, Action>(reconciler: Reconciler<string, Seen, Action>, key: string): Promise<Plan<Action> | undefined> {
    const { signal } = new AbortController()
    try {
      const plan = reconciler.plan(await reconciler.observe(key, signal), this.nowMs)
      for (const action of plan.actions) {
        await reconciler.apply(action, signal)
        const { drift } = reconciler.effectOf(action)
        if (drift?.counts === 'always') this.corrected.push(...drift.kinds)
      }
      for (const one of plan.conditions) this.conditions.set(`${key}/${one.type}`, one)
      if (plan.nics !== undefined) this.nics.set(key, plan.nics)
      if (plan.facts !== undefined) this.facts.set(key, { ...this.facts.get(key), ...plan.facts })
      return plan
    } catch (error) {
      if (!(error instanceof PortError)) throw error
      this.errors.push(`${reconciler.name} ${key}: ${error.kind} ${error.message}`)
      return undefined
    }
  }

  /** The VM's only task since it was declared is the one that runs: nothing restarted it. */
  starts(name: string): number {
    const service = this.swarm.service(serviceOf(name))
    return service === undefined ? 0 : this.swarm.starts(service.id)
  }

  #uuid(): string {
    this.#uuids += 1
    return `00000000-0000-4000-8000-${String(this.#uuids).padStart(12, '0')}`
  }
}

import { afterEach, describe, expect, it } from 'vitest'
import { condition, conditionOwners, readyChecks } from '../../../src/api/conditions.ts'
import type { VirtualMachine } from '../../../src/api/manifest.ts'
import { type Controller, controller } from '../../../src/controller/controller.ts'
import { noMetrics } from '../../simulation/no-metrics.ts'
import { SimulatedAgents } from '../../simulation/simulated-agents.ts'
import { informedSwarm } from '../../../src/controller/informer/informed-swarm.ts'
import { declarationStore } from '../../../src/controller/declarations/store.ts'
import type { AnyReconciler } from '../../../src/controller/loop/reconcile-once.ts'
import type { Effect } from '../../../src/reconcilers/reconciler.ts'
import { PortError } from '../../../src/ports/errors.ts'
import type { ManifestSource } from '../../../src/ports/manifest-source.ts'
import type { SourceSnapshot } from '../../../src/api/manifest/source-documents.ts'
import type { Swarm, SwarmEvent, SwarmNode } from '../../../src/ports/swarm.ts'
import type { Plan } from '../../../src/reconcilers/reconciler.ts'
import { evenRandom, silentLog, type VirtualClock, virtualClock } from './virtual-clock.ts'
import { aNodeId, aVmName } from '../../support/branded.ts'

const idle: Plan<unknown> = { actions: [], conditions: [], next: { kind: 'settled' } }
const node: SwarmNode = {
  id: aNodeId('n1-id'),
  version: 1,
  hostname: 'n1',
  labels: {},
  role: 'manager',
  availability: 'active',
  state: 'ready',
  memoryBytes: 1,
  nanoCpus: 1,
  spec: {},
}

/** A world that a test changes and four reconcilers whose plans a test writes. */
class Stage {
  readonly clock: VirtualClock = virtualClock()
  snapshot: SourceSnapshot = { source: 'directory', complete: true, message: '', documents: [] }
  services: readonly { name: string; labels: Record<string, string> }[] = []
  swarmFails = false
  plans: Record<string, (key: string) => Plan<unknown>> = {}
  runs: Record<string, string[]> = { nodes: [], assets: [], services: [], reachability: [] }
  applied: unknown[] = []
  /** Reconcilers that get no answer at all. */
  hanging: readonly string[] = []
  /** The plan of every run. */
  refusing: PortError | undefined
  emit: (event: SwarmEvent) => void = () => undefined
  hint: () => void = () => undefined
  readonly built: Controller
  private readonly stopping = new AbortController()
  private readonly running: Promise<void>

  constructor(before: (stage: Stage) => void = () => undefined) {
    before(this)
    const { clock } = this
    const store = declarationStore({ sources: 1, removalGraceMs: 60_000 }, clock)
    const reconcilers = {
      nodes: this.actor('nodes'),
      assets: this.actor('assets'),
      services: this.actor('services'),
      reachability: this.actor('reachability'),
    }
    const shared = {
      clock,
      random: evenRandom,
      log: silentLog,
      metrics: noMetrics,
      lease: { answer: async () => undefined, release: async () => undefined },
      agents: new SimulatedAgents(),
      seenAgent: () => undefined,
      cluster: 'lab',
      resyncMs: 10_000,
    }
    this.built = controller({ informed: informedSwarm(this.swarm(), clock), sources: [this.source()], store, reconcilers, ...shared })
    this.running = this.built.run(this.stopping.signal)
  }

  private actor(name: AnyReconciler<string>['name']): AnyReconciler<string> {
    return {
      name,
      observe: async (key, signal) => {
        this.runs[name]?.push(key)
        if (this.hanging.includes(name)) await new Promise((_resolve, reject) => signal.addEventListener('abort', reject, { once: true }))
        if (this.refusing !== undefined) throw this.refusing
        return key
      },
      plan: (seen) => this.plans[name]?.(seen as string) ?? idle,
      apply: async (action) => void this.applied.push(action),
      effectOf: (action) => action as Effect,
    }
  }

  private source(): ManifestSource {
    return {
      read: async () => this.snapshot,
      watch: (onHint) => {
        this.hint = onHint
        return () => undefined
      },
    }
  }

  private swarm(): Swarm {
    const answer = <Value>(value: Value): Promise<Value> =>
      this.swarmFails ? Promise.reject(new PortError('Unavailable', 'no leader')) : Promise.resolve(value)
    return {
      listNodes: () => answer([node]),
      listServices: () => answer(this.services.map((one) => ({ id: one.name, version: 1, spec: {}, ...one }))),
      listConfigs: () => answer([]),
      listSecrets: () => answer([]),
      listTasks: () => answer([]),
      getService: unused,
      getConfig: unused,
      createService: unused,
      updateService: unused,
      removeService: unused,
      createConfig: unused,
      updateConfigLabels: unused,
      removeConfig: unused,
      createSecret: unused,
      removeSecret: unused,
      updateNodeLabels: unused,
      apiVersion: unused,
      events: (signal) => this.events(signal),
    }
  }

  private async *events(signal: AbortSignal): AsyncGenerator<SwarmEvent> {
    while (!signal.aborted) {
      yield await new Promise<SwarmEvent>((resolve, reject) => {
        this.emit = resolve
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      })
    }
  }

  declare(...names: string[]): void {
    this.declareUnseen(...names)
    this.hint()
  }

  /** Without the event that a source gives. */
  declareUnseen(...names: string[]): void {
    const documents = names.map((name) => {
      const vm = {
        metadata: { name, labels: {}, annotations: {} },
        spec: { runStrategy: 'Always', cpu: {}, disks: [], networks: [] },
      } as unknown as VirtualMachine
      return { ok: true as const, origin: { source: 'directory', file: `${name}.yaml`, line: 1 }, vm, generation: `g-${name}` }
    })
    this.snapshot = { ...this.snapshot, documents }
  }

  forgetRuns(): void {
    for (const runs of Object.values(this.runs)) runs.length = 0
  }

  async stop(): Promise<void> {
    this.stopping.abort(new Error('stopped'))
    await this.clock.pass(0)
    await this.running
  }
}

const unused = (): never => {
  throw new Error('not meant to be asked')
}

const stages: Stage[] = []
function stage(before?: (stage: Stage) => void): Stage {
  const made = new Stage(before)
  stages.push(made)
  return made
}
afterEach(async () => {
  for (const one of stages.splice(0)) await one.stop()
})

describe('the controller', () => {
  it('reconciles a new manifest with every reconciler, soon after the hint', async () => {
    const on = stage()
    await on.clock.pass(1_000)
    on.declare('web')
    await on.clock.pass(500)
    expect([on.runs['assets'], on.runs['services'], on.runs['reachability']]).toEqual([['web'], ['web'], ['web']])
  })

  it('reconciles a VM when its service has an event, and nothing else', async () => {
    const on = stage((one) => one.declare('web', 'db'))
    await on.clock.pass(1_000)
    on.forgetRuns()
    on.emit({ type: 'service', action: 'update', id: 'x', name: 'vm-web' })
    await on.clock.pass(100)
    expect([on.runs['services'], on.runs['nodes']]).toEqual([['web'], []])
  })

  it('reconciles the nodes when a service of another stack has an event, and no VM', async () => {
    const on = stage((one) => one.declare('web'))
    const event = { type: 'service', action: 'update', id: 'x', name: 'shop_cart' } as const
    on.emit(event)
    await on.clock.pass(1_000)
    on.forgetRuns()
    on.emit(event)
    await on.clock.pass(100)
    expect([on.runs['services'], on.runs['nodes']]).toEqual([[], ['n1-id']])
  })

  it('reconciles everything again on the resync timer', async () => {
    const on = stage((one) => one.declare('web'))
    await on.clock.pass(1_000)
    on.forgetRuns()
    await on.clock.pass(10_000)
    expect([on.runs['services'], on.runs['nodes']]).toEqual([['web'], ['n1-id']])
  })

  it('requeues the other writers after a write, and the reconciler that wrote', async () => {
    let acts = 1
    const on = stage((one) => {
      one.plans = { assets: () => (acts-- > 0 ? { ...idle, actions: [{ kind: 'createRecord' }] } : idle) }
      one.declare('web')
    })
    await on.clock.pass(1_000)
    expect(on.applied).toEqual([{ kind: 'createRecord' }])
    expect(on.runs['assets']?.length).toBe(2)
    expect(on.runs['services']?.length).toBeGreaterThanOrEqual(1)
  })

  it('requeues no other reconciler after an action that only a node sees', async () => {
    const servicesAfter = async (action: object): Promise<number> => {
      let acts = 1
      const on = stage((one) => {
        one.plans = { assets: () => (acts-- > 0 ? { ...idle, actions: [action] } : idle) }
        one.declare('web')
      })
      await on.clock.pass(1_000)
      return on.runs['services']?.length ?? 0
    }
    expect(await servicesAfter({ kind: 'prepare', onNode: true })).toBe((await servicesAfter({ kind: 'createRecord' })) - 1)
  })

  it('does not write as fast as it can when a plan is never satisfied', async () => {
    const on = stage((one) => {
      one.plans = { services: () => ({ ...idle, actions: [{ kind: 'updateService' }] }) }
      one.declare('web')
    })
    await on.clock.pass(60_000)
    expect(on.applied.length).toBeLessThan(20)
  })

  it('backs off further after each failure in spite of resyncs, and retries at once when an agent is back', async () => {
    const on = stage((one) => {
      one.plans = {
        assets: () => {
          throw new PortError('Unavailable', 'agent n1 does not answer')
        },
      }
      one.declare('web')
    })
    await on.clock.pass(300_000)
    expect(on.runs['assets']?.length).toBeLessThan(12)
    expect(on.built.view.vm('web')?.conditions.find((one) => one.type === 'Placed')).toMatchObject({
      status: 'Unknown',
      reason: 'Retrying',
      message: 'agent n1 does not answer',
    })
    on.forgetRuns()
    on.built.agentIsBack()
    await on.clock.pass(10)
    expect(on.runs['assets']).toEqual(['web'])
  })

  it('lists with each node the VMs that only other nodes reach', async () => {
    let notReachedFrom: Readonly<Record<string, string>> = { notReachedFrom: 'n0 n1' }
    const on = stage((one) => {
      one.plans = { reachability: () => ({ ...idle, next: { kind: 'requeueAfter', ms: 1_000 }, facts: notReachedFrom }) }
      one.declare('web')
    })
    await on.clock.pass(2_000)
    expect(on.built.view.nodes().map(({ hostname, notReached }) => [hostname, notReached])).toEqual([['n1', ['web']]])
    notReachedFrom = { notReachedFrom: 'n10' }
    await on.clock.pass(2_000)
    expect(on.built.view.nodes()[0]?.notReached).toEqual([])
  })

  it('shows a rejected request as Stalled, and ends that once it is accepted', async () => {
    let refused = true
    const on = stage((one) => {
      one.plans = {
        services: () => {
          if (refused) throw new PortError('Invalid', 'network guests not found')
          return idle
        },
      }
      one.declare('web')
    })
    await on.clock.pass(1_000)
    const stalled = (): unknown => on.built.view.vm('web')?.conditions.find((one) => one.type === 'Stalled')
    expect(stalled()).toMatchObject({ status: 'True', reason: 'Refused', message: expect.stringContaining('network guests not found') })
    refused = false
    await on.clock.pass(10_000)
    expect(stalled()).toBeUndefined()
  })

  it('forgets a removed VM once nothing of it is left, but not while its service exists', async () => {
    const labels = { 'swarmvirt.managed-by': 'swarmvirt', 'swarmvirt.vm': 'web', 'swarmvirt.cluster': 'lab' }
    const on = stage((one) => {
      one.services = [{ name: 'vm-web', labels }]
      one.declare('web')
    })
    await on.clock.pass(1_000)
    on.declare()
    await on.clock.pass(90_000)
    expect(on.built.view.vm('web')?.phase).toBe('Removing')
    on.services = []
    await on.clock.pass(30_000)
    expect(on.built.view.vm('web')).toBeUndefined()
  })

  it('forgets a removed VM only after every reconciler has run since the removal', async () => {
    const on = stage((one) => one.declare('web'))
    await on.clock.pass(1_000)
    on.declare()
    await on.clock.pass(30_000)
    on.hanging = ['services']
    await on.clock.pass(90_000)
    expect(on.built.view.vm('web')?.phase).toBe('Removing')
  })

  it('ignores VMs of another cluster', async () => {
    const labels = { 'swarmvirt.managed-by': 'swarmvirt', 'swarmvirt.vm': 'web', 'swarmvirt.cluster': 'other' }
    const on = stage((one) => void (one.services = [{ name: 'vm-web', labels }]))
    await on.clock.pass(1_000)
    expect(on.built.view.vms()).toEqual([])
  })

  it('is ready after the first complete pass, and stays so', async () => {
    const on = stage((one) => {
      one.swarmFails = true
      one.declare('web')
    })
    await on.clock.pass(1_000)
    expect(on.built.view.ready()).toEqual({ ok: false, message: 'waiting for Swarm state' })
    on.swarmFails = false
    await on.clock.pass(5_000)
    expect(on.built.view.ready().ok).toBe(true)
    on.swarmFails = true
    await on.clock.pass(30_000)
    expect(on.built.view.ready().ok).toBe(true)
  })

  it('sets observedGeneration once every reconciler has nothing left to do for the generation', async () => {
    let placed = false
    const on = stage((one) => {
      one.plans = {
        assets: () => ({
          ...idle,
          conditions: [condition('Placed', placed ? 'True' : 'False', 'NoNode', '')],
          next: { kind: 'requeueAfter', ms: 1_000 },
        }),
      }
      one.declare('web')
    })
    await on.clock.pass(5_000)
    expect(on.built.view.vm('web')).toMatchObject({ generation: 'g-web', observedGeneration: '' })
    placed = true
    await on.clock.pass(5_000)
    expect(on.built.view.vm('web')?.observedGeneration).toBe('g-web')
    expect(on.built.view.vm('web')?.timeline).toMatchObject({ manifest: 0, placed: expect.any(Number) })
  })

  it('does not become Ready from the status of an earlier task', async () => {
    let [service, guest] = ['t1', 't1']
    const on = stage((one) => {
      const watched = (owner: string, facts: Record<string, string>): Plan<unknown> => ({ ...allTrue(owner), facts })
      one.plans = {
        assets: () => allTrue('assets'),
        services: () => watched('services', { task: service }),
        reachability: () => watched('reachability', { task: guest }),
      }
      one.declare('web')
    })
    await on.clock.pass(1_000)
    expect(conditionOf(on, 'Ready')).toMatchObject({ status: 'True' })
    service = 't2'
    on.emit({ type: 'service', action: 'update', id: 's', name: 'vm-web' })
    await on.clock.pass(100)
    expect(conditionOf(on, 'Ready')).toMatchObject({ status: 'Unknown', reason: 'TaskReplaced' })
    guest = 't2'
    on.emit({ type: 'service', action: 'update', id: 's', name: 'vm-web' })
    await on.clock.pass(100)
    expect(conditionOf(on, 'Ready')).toMatchObject({ status: 'True' })
  })

  it('does not report an edit as Ready before every reconciler has run', async () => {
    const on = stage((one) => {
      one.plans = allHolds
      one.declare('web')
    })
    await on.clock.pass(1_000)
    expect(conditionOf(on, 'Ready')).toMatchObject({ status: 'True', observedGeneration: 'g-web' })
    on.hanging = ['reachability']
    on.snapshot = { ...on.snapshot, documents: on.snapshot.documents.map((one) => ({ ...one, generation: 'g-new' })) }
    on.hint()
    await on.clock.pass(1_000)
    expect(conditionOf(on, 'Valid')).toMatchObject({ observedGeneration: 'g-new' })
    expect(conditionOf(on, 'Ready')).toMatchObject({ status: 'True', observedGeneration: 'g-web' })
  })

  it('makes conditions Unknown if Docker denies it to read', async () => {
    const on = stage((one) => {
      one.plans = allHolds
      one.declare('web')
    })
    await on.clock.pass(1_000)
    on.refusing = new PortError('Denied', 'GET /services')
    await on.clock.pass(30_000)
    expect(conditionOf(on, 'ServiceReady')).toMatchObject({ status: 'Unknown', reason: 'Denied' })
    expect(conditionOf(on, 'Ready')?.status).toBe('Unknown')
    expect(conditionOf(on, 'Stalled')).toMatchObject({ status: 'True', reason: 'Denied' })
  })

  it('reports a key that gets one conflict after another', async () => {
    const on = stage((one) => {
      one.plans = allHolds
      one.declare('web')
    })
    await on.clock.pass(1_000)
    on.refusing = new PortError('NotFound', 'network guests not found')
    await on.clock.pass(60_000)
    expect(conditionOf(on, 'ServiceReady')).toMatchObject({
      status: 'Unknown',
      reason: 'Retrying',
      message: expect.stringContaining('network guests not found'),
    })
  })
})

function conditionOf(on: Stage, type: string) {
  return on.built.view.vm('web')?.conditions.find((one) => one.type === type)
}

/** Everything that this reconciler owns holds. */
function allTrue(owner: string): Plan<unknown> {
  const owned = readyChecks.filter((type) => conditionOwners[type] === owner)
  return { ...idle, conditions: owned.map((type) => condition(type, 'True', 'Fine', '')) }
}
const allHolds = Object.fromEntries(['assets', 'services', 'reachability'].map((owner) => [owner, () => allTrue(owner)]))

describe('watched changes', () => {
  it('names each changed VM once for all changes in a short time, and each VM that was forgotten', async () => {
    const on = stage((one) => one.declare('web', 'db'))
    await on.clock.pass(1_000)
    const told: string[] = []
    const stop = on.built.view.onChange((name) => told.push(name))
    on.plans = allHolds
    on.emit({ type: 'service', action: 'update', id: 's', name: 'vm-web' })
    await on.clock.pass(100)
    expect(told).toEqual(['web'])
    on.declare('web')
    await on.clock.pass(120_000)
    expect(on.built.view.vm('db')).toBeUndefined()
    expect(told).toContain('db')
    stop()
    told.length = 0
    on.declare('web', 'new')
    await on.clock.pass(1_000)
    expect(told).toEqual([])
  })
})

describe('actions of the controller', () => {
  it('reads every source at once on a reload', async () => {
    const on = stage()
    await on.clock.pass(1_000)
    on.declareUnseen('web')
    await on.clock.pass(1_000)
    expect(on.built.view.vm('web')).toBeUndefined()
    on.built.actions.reload()
    await on.clock.pass(500)
    expect(on.built.view.vm('web')).toBeDefined()
  })

  it('confirms exactly the blocked removals, after the grace period, and reports them', async () => {
    const names = ['a', 'b', 'c', 'd']
    const on = stage((one) => one.declare(...names))
    await on.clock.pass(1_000)
    on.declare()
    await on.clock.pass(120_000)
    expect(on.built.view.sources()).toMatchObject({ stalled: expect.stringContaining('4 of 4') as string, withheld: names })
    expect(on.built.actions.confirmRemoval([aVmName('a')])).toEqual({ kind: 'other', withheld: names })
    expect(on.built.actions.confirmRemoval(names.toReversed().map(aVmName))).toEqual({ kind: 'confirmed', names })
    expect(on.built.view.sources()).toMatchObject({ stalled: null, withheld: [] })
    await on.clock.pass(59_000)
    expect(on.built.view.vms().map((vm) => vm.name)).toEqual(names)
    await on.clock.pass(60_000)
    expect(on.built.view.vms()).toEqual([])
  })

  it('reconciles one VM now, also during its backoff', async () => {
    const on = stage((one) => {
      one.refusing = new PortError('Unavailable', 'no answer')
      one.declare('web')
    })
    await on.clock.pass(30_000)
    on.forgetRuns()
    expect(on.built.actions.reconcile('web')).toBe(true)
    await on.clock.pass(0)
    expect([on.runs['assets'], on.runs['services'], on.runs['reachability']]).toEqual([['web'], ['web'], ['web']])
    expect(on.built.actions.reconcile('nobody')).toBe(false)
  })
})

describe('a VM that is off as declared', () => {
  it('is not Reconciling', async () => {
    const off = (owner: string): Plan<unknown> => ({
      actions: [],
      conditions: readyChecks
        .filter((type) => conditionOwners[type] === owner)
        .map((type) => condition(type, type === 'GuestRunning' ? 'False' : 'True', 'Halted', '')),
      next: { kind: 'requeueAfter', ms: 10_000 },
    })
    const on = stage((one) => {
      one.plans = { assets: () => off('assets'), services: () => off('services'), reachability: () => off('reachability') }
      one.declare('web')
    })
    await on.clock.pass(1_000)
    const conditions = on.built.view.vm('web')?.conditions ?? []
    expect(conditions.find((one) => one.type === 'Ready')).toMatchObject({ status: 'False', reason: 'Halted' })
    expect(conditions.map((one) => one.type)).not.toContain('Reconciling')
  })
})

describe('a VM that is suspended', () => {
  const suspended: Plan<unknown> = {
    actions: [],
    conditions: [condition('AssetsReady', 'Unknown', 'Suspended', 'not checked while the VM is suspended')],
    next: { kind: 'suspended', ms: 5_000, reason: 'SuspendedByCommand', message: 'suspended by docker vm suspend' },
  }

  it('reports it, is still reconciled, and does not advance observedGeneration', async () => {
    const on = stage((one) => {
      one.plans = { assets: () => suspended, services: () => ({ ...suspended, conditions: [] }) }
      one.declare('web')
    })
    await on.clock.pass(1_000)
    const view = on.built.view.vm('web')
    expect(view).toMatchObject({ phase: 'Suspended', observedGeneration: '' })
    const types = view?.conditions.filter((one) => one.status === 'True').map((one) => one.type)
    expect(types).toContain('Suspended')
    expect(types).not.toContain('Reconciling')
    on.forgetRuns()
    await on.clock.pass(6_000)
    expect(on.runs['services']).toEqual(['web'])
  })

  it('is no longer suspended once no reconciler reports it', async () => {
    const on = stage((one) => {
      one.plans = { assets: () => suspended, services: () => suspended }
      one.declare('web')
    })
    await on.clock.pass(1_000)
    on.plans = {}
    on.built.actions.reconcile('web')
    await on.clock.pass(1_000)
    const view = on.built.view.vm('web')
    expect(view?.phase).not.toBe('Suspended')
    expect(view?.events.at(-1)).toMatchObject({ type: 'Suspended', status: 'False', reason: 'Over' })
  })
})

describe('corrected drift', () => {
  it('is recorded as an event of its VM', async () => {
    const messages = ['somebody changed the service vm-web; restored']
    const action: Effect = { kind: 'updateService', disruptive: true, drift: { kinds: ['replicas'], counts: 'always', messages } }
    const on = stage((one) => {
      one.plans = { services: () => (one.applied.length === 0 ? { ...idle, actions: [action] } : idle) }
      one.declare('web')
    })
    await on.clock.pass(1_000)
    expect(on.built.view.vm('web')?.events).toContainEqual({
      time: expect.any(String) as string,
      type: 'Drift',
      status: '',
      reason: 'PutBack',
      message: 'somebody changed the service vm-web; restored',
    })
  })
})

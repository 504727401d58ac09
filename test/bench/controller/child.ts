/** The controller as its `main.ts` puts it together, with counted calls, agents that are ready at once, and a time that the bench may pass. */
import { createHash } from 'node:crypto'
import { Agent, request } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { listenApi, listenMetrics } from '../../../src/adapters/controller-api/api-server.ts'
import { dockerSwarm } from '../../../src/adapters/docker/docker-swarm.ts'
import { manifestDirectory } from '../../../src/adapters/directory/manifest-directory.ts'
import { pinoLog } from '../../../src/adapters/process/pino-log.ts'
import { promMetrics } from '../../../src/adapters/process/prom-metrics.ts'
import { systemClock } from '../../../src/adapters/process/system-clock.ts'
import { systemRandom } from '../../../src/adapters/process/system-random.ts'
import { controller } from '../../../src/controller/controller.ts'
import { declarationStore } from '../../../src/controller/declarations/store.ts'
import { resyncEveryMs } from '../../../src/controller/informer/resync.ts'
import { informedSwarm } from '../../../src/controller/informer/informed-swarm.ts'
import { observedAgents } from '../../../src/controller/informer/agent-liveness.ts'
import { livePlacements } from '../../../src/controller/informer/placement-index.ts'
import type { Clock } from '../../../src/ports/clock.ts'
import type { Metrics, QueueState } from '../../../src/ports/metrics.ts'
import type { ClusterSettings } from '../../../src/ports/settings.ts'
import type { StatusView } from '../../../src/ports/status-view.ts'
import { assetsReconciler } from '../../../src/reconcilers/assets/index.ts'
import { nodesReconciler } from '../../../src/reconcilers/nodes/index.ts'
import { reachabilityReconciler } from '../../../src/reconcilers/reachability/index.ts'
import type { Reconciler } from '../../../src/reconcilers/reconciler.ts'
import { disruptionLease } from '../../../src/reconcilers/shared/disruption-lease.ts'
import { servicesReconciler } from '../../../src/reconcilers/services/index.ts'
import { type MeasuredSwarm, measuredSwarm } from './measured-swarm.ts'
import type { ChildConfig, Pass, Request, Usage } from './protocol.ts'
import { readyAgents } from './ready-agents.ts'

const settings: ClusterSettings = {
  cluster: 'bench',
  softwareEmulation: true,
  runnerImage: 'swarmvirt-node:bench',
  guestsNetwork: 'swarmvirt-guests',
  stateRoot: '/var/lib/swarmvirt',
  memoryOverheadMiB: 160,
}

/** Can notify code that waits for the next resync that it is due. */
function hurriedClock(resyncMs: number): { readonly clock: Clock; readonly hurry: () => void } {
  const waiting = new Set<() => void>()
  const clock: Clock = {
    now: () => systemClock.now(),
    elapsed: () => systemClock.elapsed(),
    after(ms, callback) {
      if (ms !== resyncMs && ms !== resyncEveryMs(resyncMs)) return systemClock.after(ms, callback)
      const run = (): void => {
        waiting.delete(run)
        cancel()
        callback()
      }
      const cancel = systemClock.after(ms, run)
      waiting.add(run)
      return () => {
        waiting.delete(run)
        cancel()
      }
    },
  }
  return { clock, hurry: () => [...waiting].forEach((run) => run()) }
}

/** The keys that each reconciler has run, and whether anything is ready or running. */
function watchedLoops() {
  const queues: (() => QueueState)[] = []
  const seen = new Map<string, Set<string>>()
  let runs = 0
  let onIdle = (): void => undefined
  const isIdle = (): boolean => queues.every((state) => state().depth === 0 && state().workingSeconds.length === 0)
  const watched = (metrics: Metrics): Metrics => ({
    ...metrics,
    watchQueue(name, workers, state) {
      queues.push(state)
      metrics.watchQueue(name, workers, state)
    },
    queueWorked(name, seconds) {
      runs += 1
      metrics.queueWorked(name, seconds)
      setImmediate(() => {
        if (isIdle()) onIdle()
      })
    },
  })
  const noting = <Seen, Action>(reconciler: Reconciler<string, Seen, Action>): Reconciler<string, Seen, Action> => ({
    ...reconciler,
    async observe(key, signal) {
      const found = await reconciler.observe(key, signal)
      const keys = seen.get(reconciler.name) ?? new Set()
      seen.set(reconciler.name, keys.add(key))
      return found
    },
  })
  return {
    watched,
    noting,
    isIdle,
    runs: () => runs,
    forget: () => seen.clear(),
    seenByAll: (count: number) => ['assets', 'services', 'reachability'].every((name) => (seen.get(name)?.size ?? 0) >= count),
    whenIdle: (tell: () => void) => void (onIdle = tell),
  }
}

interface Measured {
  readonly view: StatusView
  readonly answer: (request: Request) => Promise<unknown>
}

function measured(config: ChildConfig): Measured {
  const counted = measuredSwarm(dockerSwarm(`unix://${config.socket}`))
  const { clock, hurry } = hurriedClock(config.resyncMs)
  const loops = watchedLoops()
  const read = informedSwarm(counted.swarm, clock)
  let gapMs = Number.POSITIVE_INFINITY
  const informed = {
    ...read,
    invalidateAll() {
      gapMs = performance.now()
      read.invalidateAll()
    },
  }
  const sources = [manifestDirectory({ path: config.manifests, watchPolling: false })]
  const declarations = declarationStore({ sources: sources.length, removalGraceMs: 1_000, cluster: settings.cluster }, clock)
  const agents = observedAgents(readyAgents(), clock, () => undefined)
  const placements = livePlacements({ informed, declarations, settings })
  const reads = { swarm: informed.swarm, recent: informed.recent, placements }
  const lease = disruptionLease({
    swarm: informed.swarm,
    recent: informed.recent,
    clock,
    log: pinoLog('controller', 'error'),
    cluster: settings.cluster,
    id: systemRandom.uuid(),
  })
  const ports = { ...reads, lease, agents, declarations, settings, clock, random: systemRandom }
  const prom = promMetrics('bench')
  const built = controller({
    informed,
    lease,
    agents,
    sources,
    store: declarations,
    reconcilers: {
      nodes: loops.noting(nodesReconciler(ports)),
      assets: loops.noting(assetsReconciler(ports)),
      services: loops.noting(servicesReconciler(ports)),
      reachability: loops.noting(reachabilityReconciler(ports)),
    },
    metrics: loops.watched(prom),
    clock,
    random: systemRandom,
    log: pinoLog('controller', 'error'),
    resyncMs: config.resyncMs,
    cluster: settings.cluster,
    seenAgent: (nodeId) => agents.seen(nodeId),
  })
  prom.show(built.view)
  void listenMetrics({ port: 0, token: undefined }, built.view, prom)
  void built.run(new AbortController().signal)
  const askRaw = rawLook(config.socket ?? '')
  // Starts only on request: it wakes the process two hundred times a second.
  const delay = monitorEventLoopDelay({ resolution: 5 })

  /** The time from `since` until nothing is ready or running, and each reconciler has run this many keys. */
  async function until(since: () => number, vms: number): Promise<Pass> {
    const isDone = (): boolean => since() <= performance.now() && counted.inFlight() === 0 && loops.isIdle() && loops.seenByAll(vms)
    const doneMs = await new Promise<number>((resolve) => {
      const look = (): void => {
        if (!isDone()) return
        clearInterval(timer)
        loops.whenIdle(() => undefined)
        resolve(performance.now())
      }
      const timer = setInterval(look, 50)
      loops.whenIdle(look)
    })
    return { ms: doneMs - since(), calls: counted.calls(), lastWriteMs: counted.lastWriteMs() }
  }

  return {
    view: built.view,
    async answer(asked) {
      switch (asked.kind) {
        case 'settled':
          return until(() => 0, asked.vms)
        case 'calls':
          return counted.calls()
        case 'reset':
          loops.forget()
          return counted.reset()
        case 'look': {
          counted.reset()
          const since = performance.now()
          hurry()
          // The lists are requested at once. The work that they cause begins when they have been read.
          await firstList(counted)
          return until(() => since, 0)
        }
        case 'gap':
          counted.reset()
          loops.forget()
          gapMs = Number.POSITIVE_INFINITY
          counted.breakEvents()
          return until(() => gapMs, built.view.vms().length)
        case 'raw':
          return askRaw()
        case 'mute':
          return counted.mute(asked.muted)
        case 'usage':
          return usage(loops.runs())
        case 'delay': {
          const p99Ms = delay.percentile(99) / 1e6
          delay.enable()
          delay.reset()
          return p99Ms
        }
      }
    },
  }
}

async function firstList({ calls, inFlight }: MeasuredSwarm): Promise<void> {
  while ((calls()['listServices'] ?? 0) === 0 || inFlight() > 0) await new Promise((resolve) => setImmediate(resolve))
}

function usage(runs: number): Usage {
  const { user, system } = process.cpuUsage()
  return { cpuMs: (user + system) / 1_000, runs, heapMiB: process.memoryUsage().heapUsed / 2 ** 20 }
}

/** Lists nodes, services and tasks as a resync does, parses them, and hashes each service's spec. */
function rawLook(socketPath: string): () => Promise<number> {
  const agent = new Agent({ keepAlive: true })
  const get = (path: string): Promise<readonly Record<string, unknown>[]> =>
    new Promise((resolve, reject) => {
      const call = request({ socketPath, path: `/v1.41${path}`, agent }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>[]))
      })
      call.on('error', reject)
      call.end()
    })
  return async () => {
    const since = performance.now()
    for (const path of ['/nodes', '/services', '/tasks']) {
      for (const one of await get(path))
        createHash('sha256')
          .update(JSON.stringify(one['Spec'] ?? null))
          .digest('hex')
    }
    return performance.now() - since
  }
}

const nothing: StatusView = {
  vms: () => [],
  vm: () => undefined,
  onChange: () => () => undefined,
  nodes: () => [],
  sources: () => ({ sources: [], stalled: null, withheld: [] }),
  ready: () => ({ ok: true, message: '' }),
}

const config = JSON.parse(process.argv[2] ?? '{}') as ChildConfig
// Imported as the controller does, and not opened: a certificate is not what is measured.
void listenApi
const program = config.mode === 'run' ? measured(config) : undefined
if (program === undefined) void listenMetrics({ port: 0, token: undefined }, nothing, promMetrics('bench'))
process.on('message', ({ id, asked }: { id: number; asked: Request }) => {
  const answer = program === undefined ? Promise.resolve(usage(0)) : program.answer(asked)
  void answer.then((value) => process.send?.({ id, value: value ?? null }))
})
if (program === undefined) process.send?.({ ready: performance.timeOrigin + performance.now() })
else {
  const timer = setInterval(() => {
    if (!program.view.ready().ok) return
    clearInterval(timer)
    process.send?.({ ready: performance.timeOrigin + performance.now() })
  }, 5)
}
// Also the end of a bench that was killed.
process.on('disconnect', () => process.exit())

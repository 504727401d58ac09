/** The controller as its `main.ts` composes it, with counted calls and agents that are ready at once. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { listenApi, listenMetrics } from '../../../src/adapters/controller-api/api-server.ts'
import { dockerSwarm } from '../../../src/adapters/docker/docker-swarm.ts'
import { manifestDirectory } from '../../../src/adapters/directory/manifest-directory.ts'
import { pinoLog } from '../../../src/adapters/process/pino-log.ts'
import { promMetrics } from '../../../src/adapters/process/prom-metrics.ts'
import { systemClock } from '../../../src/adapters/process/system-clock.ts'
import { systemRandom } from '../../../src/adapters/process/system-random.ts'
import { compose } from '../../../src/controller/compose.ts'
import { declarationStore } from '../../../src/controller/declarations/store.ts'
import { informedSwarm } from '../../../src/controller/informer/informed-swarm.ts'
import type { ClusterSettings } from '../../../src/ports/settings.ts'
import type { StatusView } from '../../../src/ports/status-view.ts'
import { type MeasuredSwarm, measuredSwarm } from './measured-swarm.ts'
import type { ChildConfig, Request } from './protocol.ts'
import { readyAgents } from './ready-agents.ts'

const settings: ClusterSettings = {
  cluster: 'bench',
  softwareEmulation: true,
  runnerImage: 'swarmvirt-node:bench',
  userNetwork: 'user',
  guestsNetwork: 'swarmvirt-guests',
  stateRoot: '/var/lib/swarmvirt',
  memoryOverheadMiB: 160,
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
const measured = measuredSwarm(dockerSwarm(`unix://${config.socket}`))
const metrics = promMetrics('bench')
const view = config.mode === 'run' ? run(measured) : nothing
// Imported as the controller does. It is not opened: it needs a certificate.
void listenApi
void listenMetrics({ port: 0, token: undefined }, view, metrics)

function run({ swarm }: MeasuredSwarm): StatusView {
  const [clock, random, log] = [systemClock, systemRandom, pinoLog('controller', 'error')]
  const { resyncMs, manifests } = config
  const { cluster } = settings
  const sources = [manifestDirectory({ path: manifests, watchPolling: false })]
  const declarations = declarationStore({ sources: sources.length, removalGraceMs: 1_000, cluster }, clock)
  const shared = { informed: informedSwarm(swarm, clock), sources, declarations, settings, metrics, clock, random, log, resyncMs }
  const built = compose({ ...shared, agents: readyAgents(), id: random.uuid() })
  metrics.show(built.view)
  void built.run(new AbortController().signal)
  return built.view
}

// Starts only on request: it wakes the process two hundred times a second.
const delay = monitorEventLoopDelay({ resolution: 5 })

async function answer(asked: Request): Promise<unknown> {
  switch (asked.kind) {
    case 'settled':
      return until(() => view.vms().filter(({ phase }) => phase === 'Ready').length >= asked.vms, 200)
    case 'calls':
      return measured.takeCalls()
    case 'mute':
      return measured.mute(asked.muted)
    case 'cpu': {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1_000
    }
    case 'delay': {
      const p99Ms = delay.percentile(99) / 1e6
      delay.enable()
      delay.reset()
      return p99Ms
    }
  }
}

async function until(isDone: () => boolean, pauseMs: number): Promise<void> {
  while (!isDone()) await new Promise((resolve) => setTimeout(resolve, pauseMs))
}

process.on('message', ({ id, asked }: { id: number; asked: Request }) => {
  void answer(asked).then((value) => process.send?.({ id, value: value ?? null }))
})
// Also the end of a bench that was killed.
process.on('disconnect', () => process.exit())
void until(() => view.ready().ok, 5).then(() => process.send?.({ ready: performance.timeOrigin + performance.now() }))

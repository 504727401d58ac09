import { engineOver } from '../../src/adapters/docker/engine.ts'
import { swarmOver } from '../../src/adapters/docker/swarm.ts'
import { compose } from '../../src/controller/compose.ts'
import type { Controller } from '../../src/controller/controller.ts'
import { declarationStore } from '../../src/controller/declarations/store.ts'
import { informedSwarm } from '../../src/controller/informer/informed-swarm.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { Log } from '../../src/ports/log.ts'
import type { ManifestSource } from '../../src/ports/manifest-source.ts'
import type { SimulatedSource } from './simulated-source.ts'
import { noMetrics } from './no-metrics.ts'
import type { ClusterSettings } from '../../src/ports/settings.ts'
import type { Boundary, Life } from './boundary.ts'
import type { EventStreams } from './event-streams.ts'
import type { SeededRandom } from './seeded-random.ts'

const resyncMs = 10_000
/** Shorter than an operator's, so that a removal takes no minute of every run. */
export const removalGraceMs = 10_000

export interface LifePorts {
  readonly boundary: Boundary
  readonly streams: EventStreams
  readonly sources: readonly SimulatedSource[]
  /** Events of the whole world. A dead controller gets none of them. */
  readonly time: Clock
  readonly offsetMs: () => number
  readonly random: SeededRandom
  readonly settings: ClusterSettings
  readonly onReady: (vm: string) => void
  readonly onInternalError: (message: string) => void
}

/** The real controller with its real reconcilers, put together as its `main.ts` does it, on a world that is not real. */
export function liveController(life: Life, ports: LifePorts): Pick<Controller, 'view' | 'actions'> {
  const { boundary, sources, random, settings } = ports
  const clock = mortalClock(life, ports)
  const informed = informedSwarm(swarmOver(engineOver(boundary.dialFor(life, (signal) => ports.streams.of(life, signal)))), clock)
  const { swarm } = informed
  const built = compose({
    informed,
    sources: sources.map((one) => mortalSource(life, one.reader({ swarm, clock }), ports)),
    declarations: declarationStore({ sources: sources.length, removalGraceMs }, clock),
    agents: boundary.agentsFor(life),
    settings,
    metrics: noMetrics,
    clock,
    random,
    log: watchfulLog(ports),
    resyncMs,
    id: `controller-${life.number}`,
  })
  void built.run(life.over.signal)
  return { view: built.view, actions: built.actions }
}

function mortalClock(life: Life, { time, offsetMs }: LifePorts): Clock {
  return {
    now: () => time.now() + offsetMs(),
    elapsed: () => time.elapsed(),
    after: (ms, callback) =>
      time.after(ms, () => {
        if (life.alive) callback()
      }),
  }
}

/** Reading takes a little time, and hints reach only the living. */
function mortalSource(life: Life, source: ManifestSource, { time, random }: LifePorts): ManifestSource {
  const soon = <Answer>(read: () => Promise<Answer>): Promise<Answer> =>
    new Promise((resolve, reject) => {
      time.after(random.int(1, 4), () => {
        const told =
          <Value>(give: (value: Value) => void) =>
          (value: Value): void => {
            if (life.alive) give(value)
          }
        if (life.alive) void read().then(told(resolve), told(reject))
      })
    })
  return {
    read: () => soon(() => source.read()),
    readAhead: () => soon(async () => source.readAhead?.()),
    readHinted: () => soon(async () => source.readHinted?.()),
    watch: (onHint) => source.watch(() => void time.after(random.int(1, 30), () => void (life.alive && onHint()))),
  }
}

/** Tells of what a person would read as an alarm; everything else is silent. */
function watchfulLog({ onReady, onInternalError }: LifePorts): Log {
  return {
    debug: () => undefined,
    warn: () => undefined,
    info(fields, message) {
      if (message === 'Condition changed' && fields['condition'] === 'Ready' && fields['status'] === 'True') onReady(String(fields['vm']))
    },
    error: (fields, message) => onInternalError(`${message}: ${JSON.stringify(fields)}`),
  }
}

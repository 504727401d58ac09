import { serviceName, placementRecordName, vmNamePattern } from '../api/names.ts'
import { type Clock, sleep } from '../ports/clock.ts'
import { messageOf } from '../ports/errors.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { Swarm, SwarmEvent } from '../ports/swarm.ts'
import { backoffMs } from './backoff.ts'

/** What a Swarm event makes worth a look. */
export type Hint =
  | { readonly kind: 'vm'; readonly vm: string }
  /** Also every VM: placement depends on nodes and their agents. */
  | { readonly kind: 'nodes' }
  /** A node changed; what about it says whom it concerns. */
  | { readonly kind: 'node' }
  /** A config that may hold manifests: an event does not say which labels it has. */
  | { readonly kind: 'manifests' }
  | { readonly kind: 'none' }

/** What we write ourselves beside placement records, named by its content. */
const launchConfig = /^sv-[0-9a-f]{16,}$/

/** Pure. Events of agents and the controller count as news of the nodes. */
export function hintOf(event: SwarmEvent): Hint {
  switch (event.type) {
    case 'service':
      return vmHint(event.name, serviceName('')) ?? { kind: 'nodes' }
    case 'config':
      return vmHint(event.name, placementRecordName('')) ?? { kind: launchConfig.test(event.name) ? 'none' : 'manifests' }
    case 'node':
      return { kind: 'node' }
    case 'secret':
    case 'network':
    case 'container':
    case 'other':
      return { kind: 'none' }
    default:
      return event.type satisfies never
  }
}

function vmHint(name: string, prefix: string): Hint | undefined {
  const vm = name.slice(prefix.length)
  return name.startsWith(prefix) && vmNamePattern.test(vm) ? { kind: 'vm', vm } : undefined
}

export interface EventPorts {
  readonly swarm: Pick<Swarm, 'events'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Before what it hints at is looked at. */
  readonly onEvent: (event: SwarmEvent) => void
  readonly onHint: (hint: Hint) => void
  /** The stream broke, and what happened since is not known: look at everything. */
  readonly onGap: () => void
}

/** Keeps an event stream open until the signal. Events are hints: a stream that is broken or silent costs latency and nothing else. */
export async function followEvents(ports: EventPorts, signal: AbortSignal): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    try {
      for await (const event of ports.swarm.events(signal)) {
        failures = 0
        ports.onEvent(event)
        ports.onHint(hintOf(event))
      }
    } catch (error) {
      if (signal.aborted) return
      if (failures === 0) ports.log.warn({ reason: messageOf(error) }, 'The event stream broke')
    }
    failures += 1
    await sleep(ports.clock, backoffMs(Math.min(failures, 5), ports.random), signal).catch(() => undefined)
    if (!signal.aborted) ports.onGap()
  }
}

import { disruptionLeaseName, serviceName, placementRecordName, vmNamePattern } from '../../api/names.ts'
import type { SwarmEvent } from '../../ports/swarm.ts'

/** What a Swarm event makes worth a look. */
export type Hint =
  | { readonly kind: 'vm'; readonly vm: string }
  /** Also every VM: placement depends on nodes and their agents. */
  | { readonly kind: 'nodes' }
  /** A node changed; what about it says whom it concerns. */
  | { readonly kind: 'node' }
  /** A config that may hold manifests: an event does not say which labels it has. */
  | { readonly kind: 'manifests' }
  /** Another controller took the lease, or asks for it. */
  | { readonly kind: 'lease' }
  | { readonly kind: 'none' }

/** What we write ourselves beside placement records, named by its content: launch configs, and the times of conditions. */
const launchConfig = /^sv-(times-)?[0-9a-f]{16,}$/

/** Pure. Events of agents and the controller count as news of the nodes. */
export function hintOf(event: SwarmEvent): Hint {
  switch (event.type) {
    case 'service':
      return vmHint(event.name, serviceName('')) ?? { kind: 'nodes' }
    case 'config':
      if (event.name.startsWith(disruptionLeaseName(''))) return { kind: 'lease' }
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

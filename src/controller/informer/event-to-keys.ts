import { disruptionLeaseName, serviceName, placementRecordName, vmNamePattern } from '../../api/names.ts'
import type { SwarmEvent } from '../../ports/swarm.ts'

/** What runs again after a Swarm event. */
export type Affected =
  | { readonly kind: 'vm'; readonly vm: string }
  /** Also every VM: placement depends on nodes and their agents. */
  | { readonly kind: 'nodes' }
  /** A node changed; the change decides which VMs run. */
  | { readonly kind: 'node' }
  /** A config that may hold manifests: an event does not say which labels it has. */
  | { readonly kind: 'manifests' }
  /** Another controller took the lease, or asks for it. */
  | { readonly kind: 'lease' }
  | { readonly kind: 'none' }

/** Configs that we write and name by their content: launch configs and transition times. */
const launchConfig = /^sv-(times-)?[0-9a-f]{16,}$/

/** Maps an event to what it affects. Pure. Events of agents and of the controller affect the nodes. */
export function affectedBy(event: SwarmEvent): Affected {
  switch (event.type) {
    case 'service':
      return ofVm(event.name, serviceName('')) ?? { kind: 'nodes' }
    case 'config':
      if (event.name.startsWith(disruptionLeaseName(''))) return { kind: 'lease' }
      return ofVm(event.name, placementRecordName('')) ?? { kind: launchConfig.test(event.name) ? 'none' : 'manifests' }
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

function ofVm(name: string, prefix: string): Affected | undefined {
  const vm = name.slice(prefix.length)
  return name.startsWith(prefix) && vmNamePattern.test(vm) ? { kind: 'vm', vm } : undefined
}

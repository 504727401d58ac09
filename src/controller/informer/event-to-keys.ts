import { disruptionLeaseName, recordPrefix, servicePrefix, vmNameAfter, type VmName } from '../../api/names.ts'
import type { SwarmEvent } from '../../ports/swarm.ts'

/** The keys to requeue after a Swarm event. */
export type Affected =
  | { readonly kind: 'vm'; readonly vm: VmName }
  /** A node changed, or a service that may be the agents'. All VMs are requeued only if the list of nodes changed. */
  | { readonly kind: 'nodes' }
  /** A config that may contain manifests; events contain no labels. */
  | { readonly kind: 'manifests' }
  /** Another controller took or requests the lease. */
  | { readonly kind: 'lease' }
  | { readonly kind: 'none' }

/** Configs of ours whose names are hashes of their content: launch configs and transition times. */
const launchConfig = /^sv-(times-)?[0-9a-f]{16,}$/

/** Maps an event to what it affects. Pure. */
export function affectedBy(event: SwarmEvent): Affected {
  switch (event.type) {
    case 'service':
      return ofVm(vmNameAfter(servicePrefix, event.name)) ?? { kind: 'nodes' }
    case 'config':
      if (event.name.startsWith(disruptionLeaseName(''))) return { kind: 'lease' }
      return ofVm(vmNameAfter(recordPrefix, event.name)) ?? { kind: launchConfig.test(event.name) ? 'none' : 'manifests' }
    case 'node':
      return { kind: 'nodes' }
    case 'secret':
    case 'network':
    case 'container':
    case 'other':
      return { kind: 'none' }
    default:
      return event.type satisfies never
  }
}

function ofVm(vm: VmName | undefined): Affected | undefined {
  return vm && { kind: 'vm', vm }
}

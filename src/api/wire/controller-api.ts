import type { Condition } from '../conditions.ts'
import type { NodeFacts } from './agent-api.ts'

/**
 * The controller's status API: HTTPS with `Authorization: Bearer TOKEN`, JSON, port 9471. The path carries the major version; fields are only added.
 *
 * | request | answer |
 * |---|---|
 * | `GET /api/v1/vms` | `{vms: VmView[]}`, by name |
 * | `GET /api/v1/vms?watch=true` | server-sent events: a `vm` (`VmView`) for each VM, `synced` (`{}`), then `vm` for each that changed and `gone` (`{name}`) |
 * | `GET /api/v1/vms/<name>` | `VmView`, or 404 |
 * | `GET /api/v1/vms/<name>/plan` | `VmPlan` (plan.ts), or 404 |
 * | `GET /api/v1/vms/<name>/manifest` | `DeclaredManifest` (plan.ts), or 404 |
 * | `POST /api/v1/vms/<name>/suspend`, `…/resume` | `{suspended, changed}`, or 404, or 409 with the reason |
 * | `POST /api/v1/vms/<name>/start`, `…/stop`, `…/restart`, `…/pause`, `…/unpause`, `…/reset` | `{changed}`, or 404, or 409 with the reason |
 * | `POST /api/v1/vms/<name>/reconcile` | 202, or 404 |
 * | `GET /api/v1/nodes` | `{nodes: NodeView[]}`, by host name |
 * | `GET /api/v1/disks` | `DisksView` (disks.ts); asks every node |
 * | `GET /api/v1/sources` | `SourcesView` |
 * | `GET /api/v1/version` | `{version, release}` |
 * | `POST /api/v1/removals/confirm` | takes `ConfirmRemovals`; `{confirmed: string[]}`, or 409 with `withheld: string[]`, the VMs whose removal is blocked now |
 * | `POST /-/reload` | 202; every source is read now |
 *
 * Errors are `{reason, message}` with 401 (no or a wrong token), 400, 404, 409, 413, 415, 503 (too many watches, or Docker is not responding).
 */
export const controllerApiVersion = 1
export const controllerApiPort = 9471
export const controllerMetricsPort = 9470

export interface VmEvent {
  /** RFC 3339. */
  readonly time: string
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
  /** How often it occurred within some hours, the last time at `time`; absent if once. */
  readonly count?: number
  /** RFC 3339 time of its first occurrence; absent if it occurred once. */
  readonly firstTime?: string
}

/** The fields of a manifest that lists show. */
export interface VmSpecView {
  readonly cores: number
  readonly memoryBytes: number
  /** In boot order. `image` is empty for a blank disk. */
  readonly disks: readonly { readonly name: string; readonly sizeBytes: number; readonly image: string }[]
  /** `bridge` is the device of a direct NIC, and empty for a NIC behind NAT. */
  readonly networks: readonly { readonly name: string; readonly bridge: string; readonly kind?: 'user' | 'direct' }[]
}

export interface PortView {
  readonly name: string
  readonly guest: number
  /** Port of the VM's node. */
  readonly published?: number
  readonly protocol: 'tcp' | 'udp'
}

/** A NIC that the VM runs with, or will start with. */
export interface NicView {
  readonly name: string
  /** The device of a direct NIC; empty for a NIC behind NAT. */
  readonly bridge: string
  /** `user`: behind NAT. `direct`: a macvtap on a device of the node. Absent for a NIC on a bridge. */
  readonly kind?: 'user' | 'direct'
  /** Forwarded ports of a NIC behind NAT. */
  readonly ports?: readonly PortView[]
  readonly mac: string
  /** Bytes; absent if the NIC has the MTU of the bridge. */
  readonly mtu?: number
  /** The IPv4 address that the guest was seen to use. */
  readonly address?: string
  /** RFC 3339: when the guest last used the address. */
  readonly seenAt?: string
}

export interface VmView {
  readonly name: string
  readonly phase: string
  /** `present`, `removed` or `unknown`. */
  readonly declared: string
  /** Hash of the accepted spec; empty if there is none. */
  readonly generation: string
  /** The last generation that was fully applied; empty before the first. */
  readonly observedGeneration: string
  readonly labels: Readonly<Record<string, string>>
  /** Absent if there is no valid manifest, and from a controller of release 0.1. */
  readonly spec?: VmSpecView
  readonly conditions: readonly Condition[]
  readonly facts: Readonly<Record<string, string>>
  /** In the order of the manifest. Absent from a controller of release 0.1. */
  readonly nics?: readonly NicView[]
  /** Milliseconds from when this controller first saw the manifest until each step was first True. */
  readonly timeline: Readonly<Record<string, number>>
  /** Oldest first. A list and a watch contain the last fifty; the view of one VM contains all. */
  readonly events: readonly VmEvent[]
}

/** All events of a thousand VMs would be tens of megabytes. */
const listedEvents = 50

export function asListed(vm: VmView): VmView {
  return vm.events.length <= listedEvents ? vm : { ...vm, events: vm.events.slice(-listedEvents) }
}

export interface NodeView {
  readonly id: string
  readonly hostname: string
  readonly role: string
  readonly availability: string
  readonly state: string
  readonly labels: Readonly<Record<string, string>>
  /** The agent's last answer; null if it never answered this controller. */
  readonly facts: NodeFacts | null
  /** RFC 3339; null if `facts` is. */
  readonly factsAt: string | null
  /** Why the agent did not answer the last request; empty if it did. */
  readonly agentMessage: string
  /** VMs that another node reached over the LAN, but this one did not. Absent from a controller of release 0.1. */
  readonly notReached: readonly string[]
}

export interface SourceView {
  /** `directory` or `configs`. */
  readonly source: string
  /** Target of the git-sync link, or the git HEAD; empty if there is neither. */
  readonly revision: string
  readonly complete: boolean
  readonly message: string
  readonly documents: { readonly valid: number; readonly invalid: number; readonly ignored: number }
  /** Rendered for users. */
  readonly issues: readonly string[]
  /** The first documents of other kinds, such as "apps/v1 Deployment", which declare no VM. */
  readonly ignored: readonly { readonly file: string; readonly line: number; readonly kind: string }[]
  readonly superseded: readonly SupersededView[]
}

/** A document that a newer one of the same name in the same source replaces. */
interface SupersededView {
  readonly file: string
  readonly name: string
  /** File of the newer document. */
  readonly by: string
}

/** The VMs whose removal to confirm. They must be exactly the blocked ones, so that a user confirms nothing unseen. */
export interface ConfirmRemovals {
  readonly vms: readonly string[]
}

export interface SourcesView {
  readonly sources: readonly SourceView[]
  /** Why removals are blocked; null if none is. */
  readonly stalled: string | null
  /** Names of the VMs whose removal is blocked. */
  readonly withheld: readonly string[]
}

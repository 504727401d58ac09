import type { Edit } from '../../api/manifest/edits.ts'
import type { DriftKind } from '../../ports/metrics.ts'
import type { Labels, ObjectVersion, RawSpec, SwarmConfig } from '../../ports/swarm.ts'
import type { Plan } from '../reconciler.ts'
import type { LeaseAction } from '../shared/disruption-lease.ts'
import type { Claim } from '../shared/ledger.ts'

export type ServicesAction =
  | { readonly kind: 'createConfig'; readonly name: string; readonly labels: Labels; readonly data: Uint8Array }
  | { readonly kind: 'createSecret'; readonly name: string; readonly labels: Labels; readonly data: Uint8Array }
  | { readonly kind: 'updateConfigLabels'; readonly config: SwarmConfig; readonly labels: Labels }
  | { readonly kind: 'createService'; readonly name: string; readonly spec: RawSpec }
  | UpdateService
  | LeaseAction
  | { readonly kind: 'removeService'; readonly id: string; readonly name: string }
  | { readonly kind: 'removeConfig'; readonly id: string; readonly name: string }
  | { readonly kind: 'removeSecret'; readonly id: string; readonly name: string }

export interface UpdateService {
  readonly kind: 'updateService'
  readonly id: string
  readonly name: string
  readonly version: ObjectVersion
  readonly spec: RawSpec
  /** `template` restarts the VM where it runs; `surroundings` never does. */
  readonly touches: 'template' | 'surroundings'
  /** Where it reserves more memory than before. */
  readonly claim?: Claim
  /** For people: what was found, and what is done about it. */
  readonly why: string
  /** What of it puts back what somebody else changed. */
  readonly corrects: readonly DriftKind[]
  /** For people, field by field: what that was. Absent where nothing is put back. */
  readonly changed?: readonly string[]
}

export interface ServicesPlan extends Plan<ServicesAction> {
  /** What the manifest has otherwise than what runs, and a restart would apply; absent where nothing waits for one. */
  readonly edits?: readonly Edit[]
}

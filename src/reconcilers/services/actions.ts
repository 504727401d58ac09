import type { Edit } from '../../api/manifest/edits.ts'
import type { DriftKind } from '../../api/drift-kinds.ts'
import type { Labels, ObjectVersion, RawSpec, SwarmConfig } from '../../ports/swarm.ts'
import type { Plan } from '../reconciler.ts'
import type { LeaseAction } from '../shared/disruption-lease.ts'
import type { AssumedPlacement } from '../shared/assumed-placements.ts'

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
  /** `template` restarts a running VM; `surroundings` never does. */
  readonly touches: 'template' | 'surroundings'
  /** Set when the update reserves more memory than before. */
  readonly claim?: AssumedPlacement
  /** Shown to users: the reason for the update. */
  readonly why: string
  /** The kinds of drift that this update corrects. */
  readonly corrects: readonly DriftKind[]
  /** Shown to users: the drifted fields. Absent if the update corrects no drift. */
  readonly changed?: readonly string[]
}

export interface ServicesPlan extends Plan<ServicesAction> {
  /** Differences between the manifest and the running VM that a restart would apply; absent if they are not known. */
  readonly edits?: readonly Edit[]
}

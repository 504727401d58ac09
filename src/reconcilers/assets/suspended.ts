import { type ConditionDraft, condition } from '../../api/conditions.ts'
import { objectLabels, suspendedBy } from '../../api/labels.ts'
import type { SwarmNode } from '../../ports/swarm.ts'
import type { PlacementRecord } from '../shared/placement-record.ts'
import { notChecked, type Suspension, whileSuspended } from '../shared/suspension.ts'
import type { AssetsAction, AssetsPlan } from './actions.ts'
import type { AssetsSeen } from './observe.ts'

/** Only a fallback, in case the event of a resume is lost. */
const requeueAfterMs = 30_000

/** Keeps the placement; conditions that need an order to the node become Unknown. */
export function planSuspended(seen: AssetsSeen, suspension: Suspension): AssetsPlan {
  const { record, node, declaration } = seen
  const unchecked = (['AssetsReady', 'SoftwareEmulation'] as const).map((type) => condition(type, 'Unknown', 'Suspended', notChecked))
  return {
    actions: noteOf(record, suspension),
    conditions: declaration.kind === 'unknown' ? [] : [placed(seen), ...unchecked],
    next: whileSuspended(suspension, requeueAfterMs),
    ...(record === undefined || node === undefined ? {} : { facts: placementFacts(record, node) }),
  }
}

/** The only write: a label keeps the suspension after the manifest is removed, also for a controller that starts later. */
function noteOf(record: PlacementRecord | undefined, { by }: Suspension): AssetsAction[] {
  if (by === 'command' || record === undefined || record.config.labels[objectLabels.suspended] !== undefined) return []
  const labels = { ...record.config.labels, [objectLabels.suspended]: suspendedBy.manifest }
  return [{ kind: 'updateRecordLabels', config: record.config, labels, corrects: [] }]
}

function placed({ record, node }: AssetsSeen): ConditionDraft {
  if (record === undefined) return condition('Placed', 'Unknown', 'Suspended', 'not placed while the VM is suspended')
  if (node !== undefined) return placedOn(node, record)
  return condition(
    'Placed',
    'Unknown',
    'Suspended',
    'the node in its placement record has left the Swarm; not corrected while the VM is suspended',
  )
}

/** A VM's age is the age of its record, which is created when the VM is first placed. */
export function placementFacts({ uid, config }: PlacementRecord, node: SwarmNode): Readonly<Record<string, string>> {
  return { uid, node: node.hostname, createdAt: config.createdAt }
}

export function placedOn(node: SwarmNode, { uid }: PlacementRecord): ConditionDraft {
  return condition('Placed', 'True', 'Placed', `on ${node.hostname}${unwell(node)} (uid ${uid})`)
}

/** A VM stays with its disk, even if the node is down. */
function unwell({ state, availability }: SwarmNode): string {
  if (state !== 'ready') return `, which is ${state}`
  return availability === 'active' ? '' : `, whose availability is ${availability}`
}

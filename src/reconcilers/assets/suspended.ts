import { type ConditionDraft, condition } from '../../api/conditions.ts'
import { objectLabels, suspendedBy } from '../../api/labels.ts'
import type { SwarmNode } from '../../ports/swarm.ts'
import type { PlacementRecord } from '../shared/placement-record.ts'
import { notAsked, type Suspension, whileSuspended } from '../shared/suspension.ts'
import type { AssetsAction, AssetsPlan } from './actions.ts'
import type { AssetsSeen } from './observe.ts'

/** Nothing of it moves; this only notices when it is resumed without an event of it. */
const lookAgainMs = 30_000

/** Where it is stays known; what only an order to the node would tell does not. */
export function planSuspended(seen: AssetsSeen, suspension: Suspension): AssetsPlan {
  const { record, node, declaration } = seen
  const unasked = (['AssetsReady', 'SoftwareEmulation'] as const).map((type) => condition(type, 'Unknown', 'Suspended', notAsked))
  return {
    actions: noteOf(record, suspension),
    conditions: declaration.kind === 'unknown' ? [] : [placed(seen), ...unasked],
    next: whileSuspended(suspension, lookAgainMs),
    ...(record === undefined || node === undefined ? {} : { facts: placementFacts(record, node) }),
  }
}

/** The one write: a manifest that is taken away must not take its own word with it, nor may a controller that starts afterwards not know of it. */
function noteOf(record: PlacementRecord | undefined, { by }: Suspension): AssetsAction[] {
  if (by === 'command' || record === undefined || record.config.labels[objectLabels.suspended] !== undefined) return []
  const labels = { ...record.config.labels, [objectLabels.suspended]: suspendedBy.manifest }
  return [{ kind: 'updateRecordLabels', config: record.config, labels, corrects: [] }]
}

function placed({ record, node }: AssetsSeen): ConditionDraft {
  if (record === undefined) return condition('Placed', 'Unknown', 'Suspended', 'it is given no node while it is suspended')
  if (node !== undefined) return placedOn(node, record)
  return condition('Placed', 'Unknown', 'Suspended', `its record names no member of the Swarm, and is not mended while it is suspended`)
}

/** The record is made once, when the VM is placed first, so its time is the VM's age. */
export function placementFacts({ uid, config }: PlacementRecord, node: SwarmNode): Readonly<Record<string, string>> {
  return { uid, node: node.hostname, createdAt: config.createdAt }
}

export function placedOn(node: SwarmNode, { uid }: PlacementRecord): ConditionDraft {
  return condition('Placed', 'True', 'Placed', `on ${node.hostname}${unwell(node)} (uid ${uid})`)
}

/** A VM stays where its disk is, whatever becomes of the node. */
function unwell({ state, availability }: SwarmNode): string {
  if (state !== 'ready') return `, which is ${state}`
  return availability === 'active' ? '' : `, whose availability is ${availability}`
}

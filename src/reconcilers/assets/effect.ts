import type { DriftKind } from '../../api/drift-kinds.ts'
import { type Drift, type Effect, somebodyElse } from '../reconciler.ts'
import type { AssetsAction } from './actions.ts'

export function effectOfAssets(action: AssetsAction): Effect {
  const { kind } = action
  switch (kind) {
    case 'createRecord':
      return {
        kind,
        disruptive: false,
        ...recordDrift(action.corrects, `removed the config ${action.name}, the placement record; created again`),
      }
    case 'updateRecordLabels':
      return {
        kind,
        disruptive: action.endsVm === true,
        ...recordDrift(action.corrects, 'removed labels from the placement record; restored'),
      }
    case 'deleteDisks':
      return {
        kind,
        disruptive: true,
        onNode: true,
        event: { reason: 'DisksDeleting', message: 'deleting the disks on the node (deletionPolicy: Delete)' },
      }
    case 'prepare':
      return { kind, disruptive: action.order.replaceDisks !== undefined, onNode: true }
    case 'revokeGrant':
      return { kind, disruptive: false, onNode: true }
    case 'removeRecord':
    case 'takeLease':
    case 'askHolder':
      return { kind, disruptive: false }
    default:
      return kind satisfies never
  }
}

function recordDrift(kinds: readonly DriftKind[], what: string): { readonly drift?: Drift } {
  return kinds.length === 0 ? {} : { drift: { kinds, counts: 'always', messages: [`${somebodyElse} ${what}`] } }
}

import { deletePolicy, type PlacementRecord } from '../shared/placement-record.ts'
import type { AssetsSeen } from './observe.ts'

/** True for deletionPolicy Delete in the current or last manifest, or in the record if this controller never read a manifest. */
export function deletesDisks({ declaration }: AssetsSeen, record?: PlacementRecord): boolean {
  if (declaration.kind === 'present') return declaration.vm.spec.deletionPolicy === deletePolicy
  const { deletionPolicy } = declaration
  return deletionPolicy === undefined ? record?.deletes === true : deletionPolicy === deletePolicy
}

import { deletePolicy, type PlacementRecord } from '../shared/placement-record.ts'
import type { AssetsSeen } from './observe.ts'

/** Whether the disks go with the VM: by the manifest's last word, or by the record where this controller never read one. */
export function deletesDisks({ declaration }: AssetsSeen, record?: PlacementRecord): boolean {
  if (declaration.kind === 'present') return declaration.vm.spec.deletionPolicy === deletePolicy
  const { deletionPolicy } = declaration
  return deletionPolicy === undefined ? record?.deletes === true : deletionPolicy === deletePolicy
}

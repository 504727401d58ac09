import type { VmName } from '../../api/names.ts'
import type { DeclareInput, VmMemory } from './state.ts'

type Judged = ReadonlyMap<VmName, VmMemory>

/**
 * Marks removals that would delete disks and need a confirmation (ADR 0008). Disks are only deleted without one if a single VM is absent
 * and its source still has documents, because a missing mount looks like a deletion of the last file. The mark stays until the manifest
 * is back or the removal is confirmed.
 */
export function markDestruction(judged: Judged, input: DeclareInput): Judged {
  const absent = [...judged].filter(([, memory]) => memory.state.kind === 'absent' && !memory.removalConfirmed)
  const marked = absent.flatMap(([name, memory]): [VmName, VmMemory][] => {
    if (!destroys(name, memory, input)) return []
    const reason = memory.mustConfirm ?? reasonToAsk(name, memory, absent.length, input) ?? markedReason(name, input)
    return reason === undefined ? [] : [[name, { ...memory, mustConfirm: reason }]]
  })
  return marked.length === 0 ? judged : new Map([...judged, ...marked])
}

/** Marked before this controller started, so the reason is no longer known. */
function markedReason(name: VmName, { ownedVms }: DeclareInput): string | undefined {
  const isMarked = ownedVms?.get(name)?.mustConfirm === true
  return isMarked ? 'its removal was blocked before, and the disks of this VM would be deleted (deletionPolicy: Delete)' : undefined
}

/** By the last manifest, or by the record if this controller never read a manifest. */
function destroys(name: VmName, { good }: VmMemory, { ownedVms }: DeclareInput): boolean {
  return good === undefined ? ownedVms?.get(name)?.deletes === true : good.vm.spec.deletionPolicy === 'Delete'
}

function reasonToAsk(name: VmName, memory: VmMemory, absent: number, { ownedVms, snapshots }: DeclareInput): string | undefined {
  if (absent > 1) return `the manifests of ${absent} VMs are gone, and the disks of this VM would be deleted (deletionPolicy: Delete)`
  const source = memory.origin?.source ?? ownedVms?.get(name)?.source
  const own = snapshots.filter((one) => source === undefined || one.source === source)
  const empty = own.find(({ documents, classes = 0 }) => documents.length + classes === 0)
  return empty && `source ${empty.source} is empty, and the disks of the VM would be deleted (deletionPolicy: Delete)`
}

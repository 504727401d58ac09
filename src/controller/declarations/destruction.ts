import type { VmName } from '../../api/names.ts'
import type { DeclareInput, VmMemory } from './state.ts'

type Judged = ReadonlyMap<VmName, VmMemory>

/**
 * Marks removals that would delete disks and that a person has to confirm (ADR 0008). Disks cannot be brought back, so they go unasked only with a VM
 * that vanished alone, from a source that still holds something: an emptied mount looks like a last file that was deleted.
 * The mark stays until the manifest is seen again or the removal is confirmed, whatever becomes of the others.
 */
export function markDestruction(judged: Judged, input: DeclareInput): Judged {
  const absent = [...judged].filter(([, memory]) => memory.state.kind === 'absent' && !memory.removalConfirmed)
  const marked = absent.flatMap(([name, memory]): [VmName, VmMemory][] => {
    if (!destroys(name, memory, input)) return []
    const reason = memory.mustConfirm ?? reasonToAsk(name, memory, absent.length, input)
    return reason === undefined ? [] : [[name, { ...memory, mustConfirm: reason }]]
  })
  return marked.length === 0 ? judged : new Map([...judged, ...marked])
}

/** By the last word of its manifest, or by the record where this controller never read one. */
function destroys(name: VmName, { good }: VmMemory, { world }: DeclareInput): boolean {
  return good === undefined ? world?.get(name)?.deletes === true : good.vm.spec.deletionPolicy === 'Delete'
}

function reasonToAsk(name: VmName, memory: VmMemory, absent: number, { world, snapshots }: DeclareInput): string | undefined {
  if (absent > 1) return `${absent} VMs are in no manifest any more, and its disks would be deleted (deletionPolicy: Delete)`
  const source = memory.origin?.source ?? world?.get(name)?.source
  const own = snapshots.filter((one) => source === undefined || one.source === source)
  const empty = own.find(({ documents, classes = 0 }) => documents.length + classes === 0)
  return empty && `source ${empty.source} holds nothing any more, and the disks of the VM would be deleted (deletionPolicy: Delete)`
}

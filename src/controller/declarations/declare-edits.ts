import type { VirtualMachine } from '../../api/manifest.ts'
import type { VmName } from '../../api/names.ts'
import type { LanClaim } from '../../api/manifest/lan-claims.ts'
import type { ReadDocument, SourceSnapshot, ValidDocument } from '../../api/manifest/source-documents.ts'
import type { DeclareState, VmMemory } from './state.ts'

export interface EditInput {
  /** The read behind the state, and the next one. */
  readonly before: SourceSnapshot
  readonly after: SourceSnapshot
  /** By `Clock.elapsed`. */
  readonly nowMs: number
  readonly lanClaims: (vm: VirtualMachine) => readonly LanClaim[]
}

export interface Edited {
  readonly state: DeclareState
  readonly names: readonly VmName[]
  /** The new document for each old one. */
  readonly documents: ReadonlyMap<ReadDocument, ValidDocument>
}

/**
 * A fast path of `declare` for edits in place that change nothing on the LAN. Pure. Undefined if more may have happened: then `declare`
 * goes through every VM.
 */
export function declareEdits(state: DeclareState, input: EditInput): Edited | undefined {
  const { before, after } = input
  if (state.leaving.size > 0 || !isSameButDocuments(before, after)) return undefined
  const vms = new Map(state.vms)
  const documents = new Map<ReadDocument, ValidDocument>()
  const names: VmName[] = []
  for (const [place, now] of after.documents.entries()) {
    const was = before.documents[place]
    if (now === was) continue
    const edited = was === undefined ? undefined : editOf(was, now, state, input)
    if (was === undefined || edited === undefined) return undefined
    const { name } = edited.document.vm.metadata
    vms.set(name, edited.memory)
    documents.set(was, edited.document)
    names.push(name)
  }
  return { state: { ...state, vms }, names, documents }
}

function isSameButDocuments(
  before: SourceSnapshot,
  { complete, message, revision, superseded, collectable, documents }: SourceSnapshot,
): boolean {
  const isSame = before.complete === complete && before.message === message && before.revision === revision
  return isSame && superseded === undefined && collectable === undefined && before.documents.length === documents.length
}

function editOf(
  was: ReadDocument,
  now: ReadDocument,
  state: DeclareState,
  { nowMs, lanClaims }: EditInput,
): { readonly document: ValidDocument; readonly memory: VmMemory } | undefined {
  if (!isWhole(was) || !isWhole(now)) return undefined
  const memory = state.vms.get(now.vm.metadata.name)
  // Otherwise it is not the VM's only document, or not the accepted one.
  if (memory?.state.kind !== 'present' || memory.rivals !== '' || memory.good?.vm !== was.vm) return undefined
  const [had, has] = [lanClaims(was.vm), lanClaims(now.vm)]
  if (had.length !== has.length || !has.every(({ key }, place) => key === had[place]?.key)) return undefined
  const { vm, generation, origin } = now
  const inForceMs = generation === was.generation ? memory.inForceMs : nowMs
  return { document: now, memory: { ...memory, good: { vm, generation, source: origin.source }, origin, inForceMs } }
}

function isWhole(document: ReadDocument): document is ValidDocument {
  return document.ok && 'vm' in document
}

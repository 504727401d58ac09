import type { VmName } from '../../api/names.ts'
import { byText } from '../../api/order.ts'
import type { MachineDocument, SourceDocument, ValidDocument } from '../../api/manifest/source-documents.ts'
import { type Claim, claimedTwice, claimsOf, rivalsOf, settleClaim } from './name-claims.ts'
import type { DeclareInput, DeclareState, VmMemory } from './state.ts'
import { brokenFile, whyUnknown, opaqueFiles } from './absence.ts'
import { markDestruction } from './destruction.ts'
import { settleLan } from './lan/settle.ts'
import { guardMassRemoval } from './mass-removal.ts'

/** Folds the latest reads of the sources into the state. Pure; the rules of "an error is not an absence" are here. */
export function declare(before: DeclareState, input: DeclareInput): DeclareState {
  const documents = input.snapshots.flatMap((snapshot) => snapshot.documents.filter(isMachine)).toSorted(byOrigin)
  const opaque = opaqueFiles(before, documents, input)
  const claims = claimsOf(documents)
  const names = new Set([...claims.keys(), ...before.vms.keys(), ...(input.ownedVms?.keys() ?? [])])
  const judged = new Map<VmName, VmMemory>()
  const given = new Map<VmName, SourceDocument>()
  const issues: DeclareState['issues'][number][] = []
  for (const name of names) {
    const memory = before.vms.get(name) ?? unseen
    const candidates = claims.get(name) ?? []
    const claim = settleClaim(name, memory, candidates, opaque, input)
    if (claim.kind === 'given') {
      given.set(name, claim.document)
      issues.push(...claimedTwice(name, claim.document.origin, candidates))
    }
    const rivals = claim.kind === 'given' ? rivalsOf(claim.document.origin, candidates) : ''
    const next = inForce(memory, { ...judge(name, memory, claim, opaque, input), rivals }, input.nowMs)
    if (candidates.length > 0 || leavesTrace(next) || input.ownedVms?.has(name) === true) judged.set(name, next)
  }
  const settled = settleLan(before, judged, given, input)
  return {
    ...guardMassRemoval(markDestruction(settled.vms, input), input),
    opaque,
    leaving: settled.leaving,
    issues: [...issues, ...settled.issues],
  }
}

function judge(name: VmName, memory: VmMemory, claim: Claim, opaque: DeclareState['opaque'], input: DeclareInput): VmMemory {
  switch (claim.kind) {
    case 'given':
      return judgePresent(memory, claim.document, input)
    case 'pending':
      return { ...memory, removalConfirmed: false, state: claim.state }
    case 'none':
      return judgeAbsent(name, memory, opaque, input)
    default:
      return claim satisfies never
  }
}

/** Keeps the time since when the accepted document has applied. */
function inForce({ good, inForceMs }: VmMemory, next: VmMemory, nowMs: number): VmMemory {
  const sinceMs = good !== undefined && good.generation === next.good?.generation ? inForceMs : nowMs
  return { ...next, inForceMs: sinceMs }
}

/** A name that never had a valid document is dropped with its broken one. A removed VM stays until it is forgotten. */
function leavesTrace(memory: VmMemory): boolean {
  return memory.good !== undefined || memory.state.kind === 'removed'
}

const unseen: VmMemory = {
  good: undefined,
  origin: undefined,
  seenAtMs: undefined,
  inForceMs: undefined,
  state: { kind: 'unknown', message: '' },
  removalConfirmed: false,
  rivals: '',
}

/** An invalid class or a document of another kind contains no VM. VMs with an invalid class report it themselves. */
function isMachine(document: SourceDocument): document is MachineDocument {
  return document.ok || (document.isClass !== true && document.otherKind === undefined)
}

function byOrigin(a: SourceDocument, b: SourceDocument): number {
  return byText(a.origin.source, b.origin.source) || byText(a.origin.file, b.origin.file) || a.origin.line - b.origin.line
}

function judgePresent(memory: VmMemory, document: SourceDocument, { readAtMsOf, nowMs }: DeclareInput): VmMemory {
  const seenAtMs = readAtMsOf.get(document.origin.source) ?? nowMs
  const seen = { origin: document.origin, seenAtMs, inForceMs: undefined, removalConfirmed: false, rivals: '' }
  if (document.ok) return { ...seen, good: goodOf(document), state: { kind: 'present' } }
  const rendered = document.issues.map((issue) => issue.rendered).join('\n\n')
  return { ...seen, good: goodBehind(memory, document.standIn), state: { kind: 'broken', rendered } }
}

function goodOf({ vm, generation, origin }: ValidDocument): VmMemory['good'] {
  return { vm, generation, source: origin.source }
}

/** The accepted state while a document is broken: a valid older document of its source, or the last one. A removed VM needs a valid document. */
function goodBehind(memory: VmMemory, standIn: ValidDocument | undefined): VmMemory['good'] {
  if (standIn !== undefined) return goodOf(standIn)
  return memory.state.kind === 'removed' ? undefined : memory.good
}

function judgeAbsent(name: VmName, memory: VmMemory, opaque: DeclareState['opaque'], input: DeclareInput): VmMemory {
  if (memory.state.kind === 'removed') return memory
  const broken = brokenFile(memory, opaque)
  if (broken !== undefined) return { ...memory, removalConfirmed: false, state: broken }
  const unknown = whyUnknown(name, memory, opaque, input)
  if (unknown !== undefined) return { ...memory, state: { kind: 'unknown', message: unknown } }
  const sinceMs = memory.state.kind === 'absent' ? memory.state.sinceMs : input.nowMs
  return { ...memory, state: { kind: 'absent', sinceMs } }
}

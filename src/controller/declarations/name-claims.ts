import type { VmName } from '../../api/names.ts'
import { declaredTwice, documentIssue } from '../../api/manifest/document-issue.ts'
import type { MachineDocument, Origin, SourceDocument, SourceIssue } from '../../api/manifest/source-documents.ts'
import type { DeclareInput, DeclareState, OwnedVm, VmMemory } from './state.ts'
import { brokenFile, whyUnknownInSource, fileKey, incompleteIn } from './absence.ts'

export type Claim =
  | { readonly kind: 'given'; readonly document: SourceDocument }
  | { readonly kind: 'none' }
  /** The holder of the name may exist unseen, is not known yet, or is handing it over: the accepted state stays. */
  | { readonly kind: 'pending'; readonly state: VmMemory['state'] }

/** All documents of each name, in input order. */
export function claimsOf(documents: readonly MachineDocument[]): ReadonlyMap<VmName, readonly SourceDocument[]> {
  const claims = new Map<VmName, SourceDocument[]>()
  for (const document of documents) {
    const name = document.ok ? document.vm.metadata.name : document.name
    if (name === undefined) continue
    claims.set(name, [...(claims.get(name) ?? []), document])
  }
  return claims
}

/** The owner of a name, as far as known: from earlier reads, or else from the VM's objects in the Swarm. */
interface Holder {
  readonly source: string | undefined
  readonly file: string | undefined
  readonly generation: string | undefined
}

/**
 * The first owner keeps a name (ADR 0005, 0014): a second file or source must not change a running VM. Within a source a name moves at
 * once, because files are renamed; to another source it moves after the removal grace period.
 */
export function settleClaim(
  name: VmName,
  memory: VmMemory,
  candidates: readonly SourceDocument[],
  opaque: DeclareState['opaque'],
  input: DeclareInput,
): Claim {
  if (candidates.length === 0) return { kind: 'none' }
  const holder = holderOf(memory, input.ownedVms?.get(name))
  const inSource = candidates.filter((one) => holder.source === undefined || one.origin.source === holder.source)
  const document = ownDocument(holder, inSource)
  if (document !== undefined) return { kind: 'given', document }
  const unclear = memory.origin === undefined ? unsettled(name, candidates, input) : undefined
  if (unclear !== undefined) return { kind: 'pending', state: unclear }
  const [inFront] = inSource
  if (inFront === undefined) return handOver(holder, memory, candidates, opaque, input)
  const hidden = hiddenHolder(memory, opaque, input)
  return hidden === undefined ? { kind: 'given', document: inFront } : { kind: 'pending', state: hidden }
}

function holderOf(memory: VmMemory, owned: OwnedVm | undefined): Holder {
  const { origin, good } = memory
  if (origin === undefined) return { source: owned?.source, file: undefined, generation: owned?.generation }
  return { source: origin.source, file: fileKey(origin), generation: good?.generation }
}

/** The document in the owner's own file, also if it changed; in another file only an equal one. */
function ownDocument({ file, generation }: Holder, candidates: readonly SourceDocument[]): SourceDocument | undefined {
  const same = (one: SourceDocument): boolean => one.ok && one.generation === generation
  const own = candidates.filter((one) => fileKey(one.origin) === file)
  return own.find(same) ?? own[0] ?? candidates.find(same)
}

/** For a name whose owner this controller never saw: every source that may own it must have been read. */
function unsettled(name: VmName, candidates: readonly SourceDocument[], input: DeclareInput): VmMemory['state'] | undefined {
  const several = candidates.length > 1 || input.snapshots.length > 1 || !input.allReported
  if (input.ownedVms === undefined) return several ? { kind: 'unknown', message: contested(name, candidates) } : undefined
  if (!input.allReported) return { kind: 'unknown', message: 'waiting for every manifest source to be read' }
  // A record of an earlier release has no source, so the VM may belong to any of them.
  const others = input.snapshots.filter((snapshot) => candidates.every((one) => one.origin.source !== snapshot.source))
  const incomplete = input.ownedVms.has(name) ? incompleteIn({ snapshots: others }) : undefined
  return incomplete === undefined ? undefined : { kind: 'unknown', message: incomplete }
}

function contested(name: VmName, candidates: readonly SourceDocument[]): string {
  const places = candidates.map(({ origin }) => placeOf(origin)).join(', ')
  return `VM "${name}" is declared in ${places}; waiting for Swarm state to tell which one it belongs to`
}

/** The state of an owner that was not seen but may exist; undefined if it gave the name up. */
function hiddenHolder(memory: VmMemory, opaque: DeclareState['opaque'], input: DeclareInput): VmMemory['state'] | undefined {
  if (memory.good === undefined) return undefined
  const broken = brokenFile(memory, opaque)
  if (broken !== undefined) return broken
  const incomplete = incompleteIn(input)
  return incomplete === undefined ? undefined : { kind: 'unknown', message: incomplete }
}

/** The owning source no longer has the document: another source gets the name once that is certain and the grace period is over. */
function handOver(
  { source }: Holder,
  memory: VmMemory,
  candidates: readonly SourceDocument[],
  opaque: DeclareState['opaque'],
  input: DeclareInput,
): Claim {
  // An invalid document takes nothing over: otherwise the accepted state and the name would belong to different sources.
  const next = candidates.find((one) => one.ok || one.standIn !== undefined)
  if (source === undefined || memory.state.kind === 'removed') return given(next ?? candidates[0])
  const hidden = brokenFile(memory, opaque) ?? maybeUnknown(whyUnknownInSource(source, memory, opaque, input))
  if (hidden !== undefined) return { kind: 'pending', state: hidden }
  if (next === undefined) return { kind: 'pending', state: { kind: 'broken', rendered: candidates.flatMap(renderedIssues).join('\n\n') } }
  const { state } = memory
  const sinceMs = state.kind === 'absent' || state.kind === 'handover' ? state.sinceMs : input.nowMs
  if (input.readAtMs - sinceMs >= input.removalGraceMs) return given(next)
  return { kind: 'pending', state: { kind: 'handover', sinceMs, from: source, to: placeOf(next.origin) } }
}

function given(document: SourceDocument | undefined): Claim {
  return document === undefined ? { kind: 'none' } : { kind: 'given', document }
}

function maybeUnknown(message: string | undefined): VmMemory['state'] | undefined {
  return message === undefined ? undefined : { kind: 'unknown', message }
}

function renderedIssues(document: SourceDocument): string[] {
  return document.ok ? [] : document.issues.map((issue) => issue.rendered)
}

/** The position of a document, for messages. */
export function placeOf({ source, file, line }: Origin): string {
  return source === 'configs' ? `config ${file}:${line}` : `${file}:${line}`
}

/** The note about other documents of the same VM in its condition; empty if there are none. */
export function rivalsOf(owner: Origin, candidates: readonly SourceDocument[]): string {
  const rivals = candidates.flatMap(({ origin }) => (origin === owner ? [] : [placeOf(origin)]))
  return rivals.length === 0 ? '' : `also declared in ${rivals.join(', ')}, which is ignored: ${placeOf(owner)} keeps the VM`
}

/** Rejects every other document of the name (`VM030`), with the position of the owner. */
export function claimedTwice(name: VmName, owner: Origin, candidates: readonly SourceDocument[]): DeclareState['issues'] {
  return candidates
    .filter(({ origin }) => origin !== owner)
    .map((one) => ({ ...secondClaim(name, one, owner), sources: [...new Set([one.origin.source, owner.source])] }))
}

function secondClaim(name: VmName, document: SourceDocument, owner: Origin): SourceIssue {
  const handOver =
    document.origin.source === owner.source
      ? []
      : ['delete one of the two; if you delete the other one, this one takes the VM over when the removal grace period is over']
  return documentIssue(document, declaredTwice(`VM "${name}"`, placeOf(owner), ...handOver))
}

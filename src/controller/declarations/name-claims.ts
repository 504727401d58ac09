import type { VmName } from '../../api/names.ts'
import { declaredTwice, documentIssue } from '../../ports/document-issue.ts'
import type { Origin, SourceDocument, SourceIssue } from '../../ports/manifest-source.ts'
import type { DeclareInput, DeclareState, OwnedVm, VmMemory } from './state.ts'
import { brokenFile, doubtInSource, fileKey, incompleteIn } from './absence.ts'

export type Claim =
  | { readonly kind: 'given'; readonly document: SourceDocument }
  | { readonly kind: 'none' }
  /** Who holds the name may be there unseen, is not known yet, or gives it up: what is in force stays. */
  | { readonly kind: 'withheld'; readonly state: VmMemory['state'] }

/** Every document of a name, in the order in which they were given. */
export function claimsOf(documents: readonly SourceDocument[]): ReadonlyMap<VmName, readonly SourceDocument[]> {
  const claims = new Map<VmName, SourceDocument[]>()
  for (const document of documents) {
    const name = document.ok ? document.vm.metadata.name : document.name
    if (name === undefined) continue
    claims.set(name, [...(claims.get(name) ?? []), document])
  }
  return claims
}

/** Who has the name, as far as it is known: by what this controller read, or else by what the Swarm says of the VM. */
interface Holder {
  readonly source: string | undefined
  readonly file: string | undefined
  readonly generation: string | undefined
}

/**
 * Whoever holds a name keeps it (ADR 0005, 0014): a file or a source that comes to claim it as well must not change a VM that runs. Within a
 * source the name goes on at once, since files are renamed; to another source only after the removal grace.
 */
export function settleClaim(
  name: VmName,
  memory: VmMemory,
  candidates: readonly SourceDocument[],
  opaque: DeclareState['opaque'],
  input: DeclareInput,
): Claim {
  if (candidates.length === 0) return { kind: 'none' }
  const holder = holderOf(memory, input.world?.get(name))
  const inSource = candidates.filter((one) => holder.source === undefined || one.origin.source === holder.source)
  const document = ownDocument(holder, inSource)
  if (document !== undefined) return { kind: 'given', document }
  const unclear = memory.origin === undefined ? unsettled(name, candidates, input) : undefined
  if (unclear !== undefined) return { kind: 'withheld', state: unclear }
  const [inFront] = inSource
  if (inFront === undefined) return handOver(holder, memory, candidates, opaque, input)
  const hidden = hiddenHolder(memory, opaque, input)
  return hidden === undefined ? { kind: 'given', document: inFront } : { kind: 'withheld', state: hidden }
}

function holderOf(memory: VmMemory, owned: OwnedVm | undefined): Holder {
  const { origin, good } = memory
  if (origin === undefined) return { source: owned?.source, file: undefined, generation: owned?.generation }
  return { source: origin.source, file: fileKey(origin), generation: good?.generation }
}

/** In its own file whatever it says now; elsewhere only where it says the same. */
function ownDocument({ file, generation }: Holder, candidates: readonly SourceDocument[]): SourceDocument | undefined {
  const same = (one: SourceDocument): boolean => one.ok && one.generation === generation
  const own = candidates.filter((one) => fileKey(one.origin) === file)
  return own.find(same) ?? own[0] ?? candidates.find(same)
}

/** A name that this controller never saw held: it must have heard everybody who may hold it. */
function unsettled(name: VmName, candidates: readonly SourceDocument[], input: DeclareInput): VmMemory['state'] | undefined {
  const several = candidates.length > 1 || input.snapshots.length > 1 || !input.allHeard
  if (input.world === undefined) return several ? { kind: 'doubtful', message: contested(name, candidates) } : undefined
  if (!input.allHeard) return { kind: 'doubtful', message: 'the manifests have not been read from every source yet' }
  // What was made before sources were written down may be of any source.
  const others = input.snapshots.filter((snapshot) => candidates.every((one) => one.origin.source !== snapshot.source))
  const incomplete = input.world.has(name) ? incompleteIn({ snapshots: others }) : undefined
  return incomplete === undefined ? undefined : { kind: 'doubtful', message: incomplete }
}

function contested(name: VmName, candidates: readonly SourceDocument[]): string {
  const places = candidates.map(({ origin }) => placeOf(origin)).join(', ')
  return `VM "${name}" is declared in ${places}, and the Swarm has not said yet what it was made from`
}

/** What is known of a holder that is not seen but may be there; undefined where it gave its name up. */
function hiddenHolder(memory: VmMemory, opaque: DeclareState['opaque'], input: DeclareInput): VmMemory['state'] | undefined {
  if (memory.good === undefined) return undefined
  const broken = brokenFile(memory, opaque)
  if (broken !== undefined) return broken
  const incomplete = incompleteIn(input)
  return incomplete === undefined ? undefined : { kind: 'doubtful', message: incomplete }
}

/** The source that holds the name has no document of it any more: another gets it when that is certain, and so for the grace. */
function handOver(
  { source }: Holder,
  memory: VmMemory,
  candidates: readonly SourceDocument[],
  opaque: DeclareState['opaque'],
  input: DeclareInput,
): Claim {
  // A document that gives nothing to act on takes nothing over: what is in force would be of one source, and the name of another.
  const next = candidates.find((one) => one.ok || one.standIn !== undefined)
  if (source === undefined || memory.state.kind === 'removed') return given(next ?? candidates[0])
  const hidden = brokenFile(memory, opaque) ?? doubtful(doubtInSource(source, memory, opaque, input))
  if (hidden !== undefined) return { kind: 'withheld', state: hidden }
  if (next === undefined) return { kind: 'withheld', state: { kind: 'broken', rendered: candidates.flatMap(renderedIssues).join('\n\n') } }
  const { state } = memory
  const sinceMs = state.kind === 'absent' || state.kind === 'handover' ? state.sinceMs : input.nowMs
  if (input.readAtMs - sinceMs >= input.removalGraceMs) return given(next)
  return { kind: 'withheld', state: { kind: 'handover', sinceMs, from: source, to: placeOf(next.origin) } }
}

function given(document: SourceDocument | undefined): Claim {
  return document === undefined ? { kind: 'none' } : { kind: 'given', document }
}

function doubtful(message: string | undefined): VmMemory['state'] | undefined {
  return message === undefined ? undefined : { kind: 'doubtful', message }
}

function renderedIssues(document: SourceDocument): string[] {
  return document.ok ? [] : document.issues.map((issue) => issue.rendered)
}

/** Where a document stands, for people. */
export function placeOf({ source, file, line }: Origin): string {
  return source === 'configs' ? `config ${file}:${line}` : `${file}:${line}`
}

/** What a VM's own condition says of the documents that claim it as well; empty where there are none. */
export function rivalsOf(owner: Origin, candidates: readonly SourceDocument[]): string {
  const rivals = candidates.flatMap(({ origin }) => (origin === owner ? [] : [placeOf(origin)]))
  return rivals.length === 0 ? '' : `also declared in ${rivals.join(', ')}, which changes nothing: ${placeOf(owner)} keeps the VM`
}

/** Every other document of the name is refused (`VM030`), and says who keeps it. */
export function claimedTwice(name: VmName, owner: Origin, candidates: readonly SourceDocument[]): DeclareState['issues'] {
  return candidates
    .filter(({ origin }) => origin !== owner)
    .map((one) => ({ ...secondClaim(name, one, owner), sources: [...new Set([one.origin.source, owner.source])] }))
}

function secondClaim(name: VmName, document: SourceDocument, owner: Origin): SourceIssue {
  const handOver =
    document.origin.source === owner.source
      ? []
      : ['delete one of the two: where this one is to keep it, delete the other, and it takes over when the removal grace is over']
  return documentIssue(document, declaredTwice(`VM "${name}"`, placeOf(owner), ...handOver))
}

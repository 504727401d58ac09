import type { VmName } from '../api/names.ts'
import { byText } from '../api/order.ts'
import type { Origin, SourceDocument, SourceIssue, SourceSnapshot } from '../ports/manifest-source.ts'
import type { DeclareState, VmMemory } from './declare-state.ts'
import { guardMassRemoval } from './mass-removal.ts'

export interface DeclareInput {
  /** The latest read of every source. */
  readonly snapshots: readonly SourceSnapshot[]
  /** False until every source was read. */
  readonly allRead: boolean
  /** When the source whose last read is the oldest was read; an absence is judged by reads, not by the time that passed since. */
  readonly readAtMs: number
  /**
   * VMs that the Swarm knows from what is owned there, with the generation their service carries; they are judged like VMs whose manifest
   * was seen once. Undefined before the Swarm was read.
   */
  readonly world: ReadonlyMap<VmName, string | undefined> | undefined
  readonly nowMs: number
  readonly removalGraceMs: number
}

/** Folds what the sources say now into what was known. Pure; every rule of "an error is not an absence" is here. */
export function declare(before: DeclareState, input: DeclareInput): DeclareState {
  const documents = input.snapshots.flatMap((snapshot) => snapshot.documents).toSorted(byOrigin)
  const opaque = opaqueFiles(before, documents, input.nowMs)
  const claims = claimsOf(documents)
  const names = new Set([...claims.keys(), ...before.vms.keys(), ...(input.world?.keys() ?? [])])
  const judged = new Map<VmName, VmMemory>()
  const issues: SourceIssue[] = []
  for (const name of names) {
    const memory = before.vms.get(name) ?? unseen
    const candidates = claims.get(name) ?? []
    const claim = settleClaim(name, memory, candidates, opaque, input)
    if (claim.kind === 'given') issues.push(...claimedTwice(name, claim.document.origin, candidates))
    const next = judge(memory, claim, opaque, input)
    if (candidates.length > 0 || leavesTrace(next) || input.world?.has(name) === true) judged.set(name, next)
  }
  return { ...guardMassRemoval(judged, input), opaque, issues }
}

function judge(memory: VmMemory, claim: Claim, opaque: DeclareState['opaque'], input: DeclareInput): VmMemory {
  switch (claim.kind) {
    case 'given':
      return judgePresent(memory, claim.document, input.nowMs)
    case 'withheld':
      return { ...memory, removalConfirmed: false, state: claim.state }
    case 'none':
      return judgeAbsent(memory, opaque, input)
    default:
      return claim satisfies never
  }
}

/** A name that never stood for anything leaves none: its broken document was deleted again. What is removed stays until it is forgotten. */
function leavesTrace(memory: VmMemory): boolean {
  return memory.good !== undefined || memory.state.kind === 'removed'
}

const unseen: VmMemory = {
  good: undefined,
  file: undefined,
  seenAtMs: undefined,
  state: { kind: 'doubtful', message: '' },
  removalConfirmed: false,
}

function fileKey(origin: Origin): string {
  return `${origin.source}/${origin.file}`
}

function byOrigin(a: SourceDocument, b: SourceDocument): number {
  return byText(a.origin.source, b.origin.source) || byText(a.origin.file, b.origin.file) || a.origin.line - b.origin.line
}

/** Every document of a name, by source, file and line. */
function claimsOf(documents: readonly SourceDocument[]): ReadonlyMap<VmName, readonly SourceDocument[]> {
  const claims = new Map<VmName, SourceDocument[]>()
  for (const document of documents) {
    const name = document.ok ? document.vm.metadata.name : document.name
    if (name === undefined) continue
    claims.set(name, [...(claims.get(name) ?? []), document])
  }
  return claims
}

type Claim =
  | { readonly kind: 'given'; readonly document: SourceDocument }
  | { readonly kind: 'none' }
  /** Who holds the name may be there unseen, or is not known yet: what is in force stays. */
  | { readonly kind: 'withheld'; readonly state: VmMemory['state'] }

/** Whoever holds a name keeps it: a file that comes to claim it as well must not change a VM that runs. */
function settleClaim(
  name: VmName,
  memory: VmMemory,
  candidates: readonly SourceDocument[],
  opaque: DeclareState['opaque'],
  input: DeclareInput,
): Claim {
  const [first] = candidates
  if (first === undefined) return { kind: 'none' }
  const same = (generation: string | undefined) => (one: SourceDocument) => one.ok && one.generation === generation
  if (memory.file === undefined) {
    const document = candidates.find(same(input.world?.get(name))) ?? first
    const unsure = candidates.length > 1 && input.world === undefined
    return unsure ? { kind: 'withheld', state: { kind: 'doubtful', message: contested(name, candidates) } } : { kind: 'given', document }
  }
  const own = candidates.filter((one) => fileKey(one.origin) === memory.file)
  const document = own.find(same(memory.good?.generation)) ?? own[0] ?? candidates.find(same(memory.good?.generation))
  if (document !== undefined) return { kind: 'given', document }
  const state = memory.good === undefined ? undefined : hiddenHolder(memory, opaque, input)
  return state === undefined ? { kind: 'given', document: first } : { kind: 'withheld', state }
}

/** What is known of a holder that is not seen but may be there; undefined where it gave its name up. */
function hiddenHolder(memory: VmMemory, opaque: DeclareState['opaque'], input: DeclareInput): VmMemory['state'] | undefined {
  const own = memory.file === undefined ? undefined : opaque.get(memory.file)
  if (own !== undefined) return { kind: 'broken', rendered: own.rendered }
  const incomplete = incompleteIn(input)
  return incomplete === undefined ? undefined : { kind: 'doubtful', message: incomplete }
}

function incompleteIn({ snapshots }: DeclareInput): string | undefined {
  const incomplete = snapshots.find((snapshot) => !snapshot.complete)
  return incomplete === undefined ? undefined : `source ${incomplete.source} could not be read completely: ${incomplete.message}`
}

function contested(name: VmName, candidates: readonly SourceDocument[]): string {
  const places = candidates.map(({ origin }) => `${origin.file}:${origin.line}`).join(', ')
  return `VM "${name}" is declared in ${places}, and the Swarm has not said yet which of them it was made from`
}

function claimedTwice(name: VmName, owner: Origin, candidates: readonly SourceDocument[]): SourceIssue[] {
  return candidates.map((one) => one.origin).flatMap((origin) => (origin === owner ? [] : [secondClaim(name, origin, owner)]))
}

function secondClaim(name: VmName, origin: Origin, owner: Origin): SourceIssue {
  const message = `VM "${name}" is declared twice; ${owner.file}:${owner.line} keeps it`
  const help = 'give this one another name or delete one of the two'
  const rendered = `error[VM030]: ${message}\n --> ${origin.file}:${origin.line}:1\nhelp: ${help}`
  return { code: 'VM030', path: ['metadata', 'name'], message, help, file: origin.file, line: origin.line, column: 1, rendered }
}

function opaqueFiles(before: DeclareState, documents: readonly SourceDocument[], nowMs: number): DeclareState['opaque'] {
  const found = new Map<string, { sinceMs: number; content: string; rendered: string }>()
  for (const document of documents) {
    if (document.ok || document.name !== undefined) continue
    const key = fileKey(document.origin)
    const rendered = document.issues.map((issue) => issue.rendered).join('\n\n')
    const content = `${found.get(key)?.content ?? ''}${rendered}`
    const held = before.opaque.get(key)
    found.set(key, { sinceMs: held?.content === content ? held.sinceMs : nowMs, content, rendered })
  }
  return found
}

function judgePresent(memory: VmMemory, document: SourceDocument, nowMs: number): VmMemory {
  const seen = { file: fileKey(document.origin), seenAtMs: nowMs, removalConfirmed: false }
  if (document.ok) return { ...seen, good: { vm: document.vm, generation: document.generation }, state: { kind: 'present' } }
  const rendered = document.issues.map((issue) => issue.rendered).join('\n\n')
  // What was being removed is not brought back by a document that cannot be acted on.
  return { ...seen, good: memory.state.kind === 'removed' ? undefined : memory.good, state: { kind: 'broken', rendered } }
}

function judgeAbsent(memory: VmMemory, opaque: DeclareState['opaque'], input: DeclareInput): VmMemory {
  if (memory.state.kind === 'removed') return memory
  const own = memory.file === undefined ? undefined : opaque.get(memory.file)
  if (own !== undefined) return { ...memory, removalConfirmed: false, state: { kind: 'broken', rendered: own.rendered } }
  const doubt = doubtOf(memory, opaque, input)
  if (doubt !== undefined) return { ...memory, state: { kind: 'doubtful', message: doubt } }
  const sinceMs = memory.state.kind === 'absent' ? memory.state.sinceMs : input.nowMs
  return { ...memory, state: { kind: 'absent', sinceMs } }
}

/** Why a document that is not there may still exist; undefined where it certainly does not. */
function doubtOf(memory: VmMemory, opaque: DeclareState['opaque'], input: DeclareInput): string | undefined {
  if (!input.allRead) return 'the manifests have not been read completely since the controller started'
  const incomplete = incompleteIn(input)
  if (incomplete !== undefined) return incomplete
  // It may have been moved into a file that became unreadable since; one that was so before cannot have taken it.
  const holder = [...opaque].find(([, file]) => memory.seenAtMs === undefined || file.sinceMs > memory.seenAtMs)
  return holder === undefined ? undefined : `it is in no readable manifest, and ${holder[0]} is broken and might hold it`
}

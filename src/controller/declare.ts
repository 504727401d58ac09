import type { VirtualMachine } from '../api/manifest.ts'
import type { VmName } from '../api/names.ts'
import type { Origin, SourceDocument, SourceIssue, SourceSnapshot } from '../ports/manifest-source.ts'

/** What is remembered of one VM between reads. */
export interface VmMemory {
  /** The last valid state that was read; kept while its file is broken. */
  readonly good: { readonly vm: VirtualMachine; readonly generation: string } | undefined
  /** Where its document was last seen, as `source/file`. */
  readonly file: string | undefined
  /** When its document was last seen. */
  readonly seenAtMs: number | undefined
  readonly state:
    | { readonly kind: 'present' }
    /** Its own document is there and wrong; `rendered` is what a person is shown. */
    | { readonly kind: 'broken'; readonly rendered: string }
    /** It may be in something that could not be read. */
    | { readonly kind: 'doubtful'; readonly message: string }
    /** Read completely, and not there. */
    | { readonly kind: 'absent'; readonly sinceMs: number }
    /** Absent together with too many others; the grace starts anew when that is over. */
    | { readonly kind: 'withheld'; readonly message: string }
    | { readonly kind: 'removed' }
}

export interface DeclareState {
  readonly vms: ReadonlyMap<VmName, VmMemory>
  /** Files whose names could not be read, by `source/file`: since when with this content. */
  readonly opaque: ReadonlyMap<string, { readonly sinceMs: number; readonly content: string; readonly rendered: string }>
  /** `VM030`: names that are claimed twice. */
  readonly issues: readonly SourceIssue[]
  /** Why removals are withheld; undefined where they are not. */
  readonly stalled: string | undefined
}

export interface DeclareInput {
  /** The latest read of every source; the first entry of a name by source, file and line keeps it. */
  readonly snapshots: readonly SourceSnapshot[]
  /** False until every source was read. */
  readonly allRead: boolean
  /** VMs that the Swarm knows from what is owned there; they are judged like VMs whose manifest was seen once. */
  readonly world: ReadonlySet<VmName>
  readonly nowMs: number
  readonly removalGraceMs: number
}

export const emptyDeclareState: DeclareState = { vms: new Map(), opaque: new Map(), issues: [], stalled: undefined }

/** More than this many at once *and* more than this share of what is known are not removed without being told to (ADR 0008). */
const massCount = 3
const massShare = 0.3

/** Folds what the sources say now into what was known. Pure; every rule of "an error is not an absence" is here. */
export function declare(before: DeclareState, input: DeclareInput): DeclareState {
  const documents = input.snapshots.flatMap((snapshot) => snapshot.documents).toSorted(byOrigin)
  const { claims, issues } = claim(documents)
  const opaque = opaqueFiles(before, documents, input.nowMs)
  const names = new Set([...claims.keys(), ...before.vms.keys(), ...input.world])
  const judged = new Map<VmName, VmMemory>()
  for (const name of names) {
    const memory = before.vms.get(name) ?? unseen
    const document = claims.get(name)
    const next = document === undefined ? judgeAbsent(memory, opaque, input) : judgePresent(memory, document, input.nowMs)
    if (document !== undefined || leavesTrace(next) || input.world.has(name)) judged.set(name, next)
  }
  return { ...guard(judged, input), opaque, issues }
}

/** A name that never stood for anything leaves none: its broken document was deleted again. What is removed stays until it is forgotten. */
function leavesTrace(memory: VmMemory): boolean {
  return memory.good !== undefined || memory.state.kind === 'removed'
}

/** A removed VM of which nothing is left is not known any more. */
export function forgetRemoved(state: DeclareState, name: VmName): DeclareState {
  if (state.vms.get(name)?.state.kind !== 'removed') return state
  return { ...state, vms: new Map([...state.vms].filter(([key]) => key !== name)) }
}

/** When the next absence is due to be judged; a read is needed then. */
export function nextDueMs(state: DeclareState, removalGraceMs: number): number | undefined {
  const due = [...state.vms.values()].flatMap(({ state: one }) => (one.kind === 'absent' ? [one.sinceMs + removalGraceMs] : []))
  return due.length === 0 ? undefined : Math.min(...due)
}

const unseen: VmMemory = { good: undefined, file: undefined, seenAtMs: undefined, state: { kind: 'doubtful', message: '' } }

function fileKey(origin: Origin): string {
  return `${origin.source}/${origin.file}`
}

function byOrigin(a: SourceDocument, b: SourceDocument): number {
  return compare(a.origin.source, b.origin.source) || compare(a.origin.file, b.origin.file) || a.origin.line - b.origin.line
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function claim(documents: readonly SourceDocument[]): { claims: Map<VmName, SourceDocument>; issues: SourceIssue[] } {
  const claims = new Map<VmName, SourceDocument>()
  const issues: SourceIssue[] = []
  for (const document of documents) {
    const name = document.ok ? document.vm.metadata.name : document.name
    if (name === undefined) continue
    const owner = claims.get(name)
    if (owner === undefined) claims.set(name, document)
    else issues.push(claimedTwice(name, document.origin, owner.origin))
  }
  return { claims, issues }
}

function claimedTwice(name: VmName, origin: Origin, owner: Origin): SourceIssue {
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
  const seen = { file: fileKey(document.origin), seenAtMs: nowMs }
  if (document.ok) return { ...seen, good: { vm: document.vm, generation: document.generation }, state: { kind: 'present' } }
  const rendered = document.issues.map((issue) => issue.rendered).join('\n\n')
  // What was being removed is not brought back by a document that cannot be acted on.
  return { ...seen, good: memory.state.kind === 'removed' ? undefined : memory.good, state: { kind: 'broken', rendered } }
}

function judgeAbsent(memory: VmMemory, opaque: DeclareState['opaque'], input: DeclareInput): VmMemory {
  if (memory.state.kind === 'removed') return memory
  const own = memory.file === undefined ? undefined : opaque.get(memory.file)
  if (own !== undefined) return { ...memory, state: { kind: 'broken', rendered: own.rendered } }
  const doubt = doubtOf(memory, opaque, input)
  if (doubt !== undefined) return { ...memory, state: { kind: 'doubtful', message: doubt } }
  const sinceMs = memory.state.kind === 'absent' ? memory.state.sinceMs : input.nowMs
  return { ...memory, state: { kind: 'absent', sinceMs } }
}

/** Why a document that is not there may still exist; undefined where it certainly does not. */
function doubtOf(memory: VmMemory, opaque: DeclareState['opaque'], input: DeclareInput): string | undefined {
  if (!input.allRead) return 'the manifests have not been read completely since the controller started'
  const incomplete = input.snapshots.find((snapshot) => !snapshot.complete)
  if (incomplete !== undefined) return `source ${incomplete.source} could not be read completely: ${incomplete.message}`
  // It may have been moved into a file that became unreadable since; one that was so before cannot have taken it.
  const holder = [...opaque].find(([, file]) => memory.seenAtMs === undefined || file.sinceMs > memory.seenAtMs)
  return holder === undefined ? undefined : `it is in no readable manifest, and ${holder[0]} is broken and might hold it`
}

function guard(judged: Map<VmName, VmMemory>, input: DeclareInput): Pick<DeclareState, 'vms' | 'stalled'> {
  const known = [...judged].filter(([, memory]) => memory.state.kind !== 'removed')
  const absent = known.filter(([, memory]) => memory.state.kind === 'absent').map(([name]) => name)
  const mass = absent.length > massCount && absent.length > massShare * known.length
  const stalled = mass
    ? `${absent.length} of ${known.length} VMs are in no manifest any more, too many at once to remove without being told to: put the manifests back, or take them away a few at a time`
    : undefined
  const vms = new Map([...judged].map(([name, memory]) => [name, settle(memory, input, stalled)]))
  return { vms, stalled }
}

function settle(memory: VmMemory, input: DeclareInput, stalled: string | undefined): VmMemory {
  if (memory.state.kind !== 'absent') return memory
  const { sinceMs } = memory.state
  if (stalled !== undefined) return { ...memory, state: { kind: 'withheld', message: stalled } }
  if (input.nowMs - sinceMs < input.removalGraceMs) return memory
  return { ...memory, good: undefined, state: { kind: 'removed' } }
}

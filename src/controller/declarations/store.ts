import { type ConditionDraft, condition } from '../../api/conditions.ts'
import { canonicalJson } from '../../api/hash.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import { memoised } from '../../api/memoised.ts'
import type { VmName } from '../../api/names.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Declaration, Declarations } from '../../ports/declarations.ts'
import { lanClaims as lanClaimsOf } from '../../ports/lan-claims.ts'
import type { SourceDocument, SourceSnapshot } from '../../ports/manifest-source.ts'
import { resolveClasses, type ResolvedSnapshot } from '../../ports/resolve-classes.ts'
import { declare } from './declare.ts'
import { declareEdits, type Edited } from './declare-edits.ts'
import { type DeclareState, emptyDeclareState, forgetRemoved, nextDueMs, type OwnedVm, type VmMemory } from './state.ts'
import { incompleteIn } from './absence.ts'
import { claimsOf, withForgotten } from './lan/releasing.ts'
import { confirmWithheld } from './mass-removal.ts'

const notRead = { kind: 'unknown', message: 'the manifests have not been read completely since the controller started' } as const
/** Conditions are for people: what is longer is cut. */
const longestMessage = 4_096

/** Of a `hinted` read nothing follows for what is not in it. A slow read says nothing of the time after it began. */
type SourceRead = { readonly kind: 'hinted' } | { readonly kind: 'whole'; readonly beganMs: number }

/** Holds what the sources and the Swarm say and gives each VM's declaration. */
export interface DeclarationStore extends Declarations {
  /** Takes one source's read, by default a whole one of this moment; answers which VMs are declared differently now. */
  fold(snapshot: SourceSnapshot, read?: SourceRead): readonly VmName[]
  /** Takes the VMs that are known from what is owned in the Swarm. */
  setWorld(vms: ReadonlyMap<VmName, OwnedVm>): readonly VmName[]
  /** Takes a person's word for exactly the removals that are withheld; answers which VMs are declared differently now, undefined where others are withheld. */
  confirmRemoval(vms: readonly VmName[]): readonly VmName[] | undefined
  /** Every name that is known, whatever is declared about it. */
  known(): readonly VmName[]
  knows(vm: VmName): boolean
  /** Drops a removed VM of which nothing is left; answers which VMs are declared differently now, it among them. */
  forget(vm: VmName): readonly VmName[]
  /** The source's condition of a VM. */
  valid(vm: VmName): ConditionDraft
  state(): DeclareState
  snapshots(): readonly ResolvedSnapshot[]
  /** Every source was read completely at least once. */
  complete(): boolean
  /** When, by `Clock.elapsed`, an absence is to be judged by a fresh read. */
  nextDueMs(): number | undefined
  /** Calls back with the VMs that are declared differently now. */
  onChange(listener: (vms: readonly VmName[]) => void): void
  /** Calls back when that changed, by whatever made an absence begin or end. */
  onDue(listener: () => void): void
}

export interface DeclarationSettings {
  readonly sources: number
  readonly removalGraceMs: number
  /** The cluster's name, from which `auto` MACs follow; without it they are taken to be different. */
  readonly cluster?: string
}

export function declarationStore(settings: DeclarationSettings, clock: Clock): DeclarationStore {
  const snapshots = new Map<string, SourceSnapshot>()
  const readAtMs = new Map<string, number>()
  const completed = new Set<string>()
  const lanClaims = memoised((vm: VirtualMachine) => lanClaimsOf(vm, settings.cluster))
  let world: ReadonlyMap<VmName, OwnedVm> | undefined
  let resolved: readonly ResolvedSnapshot[] = []
  let state = emptyDeclareState
  /** The last fold found what was known before: another one of the same would, too. */
  let isSettled = false

  /** To the second: the two clocks are not read at the same moment. */
  const dateOf = (elapsedMs: number): string => {
    const atMs = clock.now() - clock.elapsed() + elapsedMs
    return new Date(Math.round(atMs / 1_000) * 1_000).toISOString().replace('.000Z', 'Z')
  }

  const listeners = new Set<() => void>()
  const changeListeners = new Set<(vms: readonly VmName[]) => void>()
  const dueMs = (): number | undefined => nextDueMs(state, settings.removalGraceMs)

  /** Only time has passed since, and nothing waits for it. */
  function isKnown(isSameInput: boolean): boolean {
    return isSameInput && isSettled && dueMs() === undefined && state.leaving.size === 0
  }

  function refold(isSameInput: boolean, wholeOf?: string): readonly VmName[] {
    const [allHeard, allRead] = [snapshots.size === settings.sources, completed.size === settings.sources]
    const nowMs = clock.elapsed()
    const times = { nowMs, readAtMs: Math.min(nowMs, ...readAtMs.values()), readAtMsOf: readAtMs, removalGraceMs: settings.removalGraceMs }
    const changed = become(declare(state, { snapshots: resolved, allHeard, allRead, world, lanClaims, wholeOf, ...times }))
    isSettled = isSameInput && changed.length === 0
    return changed
  }

  /** `names` are those that may have changed. */
  function become(next: DeclareState, names: Iterable<VmName> = new Set([...state.vms.keys(), ...next.vms.keys()])): readonly VmName[] {
    const before = state
    state = next
    isSettled = false
    if (dueMs() !== nextDueMs(before, settings.removalGraceMs)) for (const listener of listeners) listener()
    const changed = [...names].filter((name) => !isSame(before.vms.get(name), state.vms.get(name)))
    for (const listener of changeListeners) listener(changed)
    return changed
  }

  /** Of a whole read everything is worked out anew: whatever an edit alone may have missed is found by it. */
  function editsOf(after: SourceSnapshot): Edited | undefined {
    const before = snapshots.get(after.source)
    return before === undefined ? undefined : declareEdits(state, { before, after, nowMs: clock.elapsed(), lanClaims })
  }

  function takeEdits({ state: next, names, documents }: Edited, source: string): readonly VmName[] {
    const replaced = (one: SourceDocument): SourceDocument => documents.get(one) ?? one
    resolved = resolved.map((one) => (one.source === source ? { ...one, documents: one.documents.map(replaced) } : one))
    return become(next, names)
  }

  return {
    get: (vm) => declarationOf(state.vms.get(vm), dateOf),
    names: () => [...state.vms].flatMap(([name, memory]) => (declarationOf(memory, dateOf).kind === 'present' ? [name] : [])),
    isNowhere(vm) {
      const isRead = completed.size === settings.sources && incompleteIn({ snapshots: resolved }) === undefined && state.opaque.size === 0
      return isRead && (state.vms.get(vm)?.state.kind ?? 'removed') === 'removed'
    },
    known: () => [...state.vms.keys()],
    knows: (vm) => state.vms.has(vm),
    fold(snapshot, read = { kind: 'whole', beganMs: clock.elapsed() }) {
      const isSame = isSameRead(snapshots.get(snapshot.source), snapshot)
      if (read.kind === 'whole') readAtMs.set(snapshot.source, read.beganMs)
      if (isKnown(isSame)) return []
      const edited = read.kind === 'hinted' ? editsOf(snapshot) : undefined
      snapshots.set(snapshot.source, snapshot)
      if (edited !== undefined) return takeEdits(edited, snapshot.source)
      if (snapshot.complete) completed.add(snapshot.source)
      resolved = resolveClasses([...snapshots.values()])
      return refold(isSame, read.kind === 'whole' ? snapshot.source : undefined)
    },
    setWorld(vms) {
      const isSame = world === vms
      if (isKnown(isSame)) return []
      world = vms
      return refold(isSame)
    },
    confirmRemoval(vms) {
      const next = confirmWithheld(state, vms, clock.elapsed())
      return next === undefined ? undefined : become(next)
    },
    forget(vm) {
      const before = state
      const claims = claimsOf(state.vms.get(vm), { lanClaims })
      state = forgetRemoved(state, vm)
      if (state === before) return []
      state = { ...state, leaving: withForgotten(state.leaving, vm, claims, clock.elapsed()) }
      for (const listener of changeListeners) listener([vm])
      return [vm, ...refold(false)]
    },
    valid: (vm) => validOf(state.vms.get(vm), dateOf),
    state: () => state,
    snapshots: () => resolved,
    complete: () => completed.size === settings.sources,
    nextDueMs: dueMs,
    onChange: (listener) => void changeListeners.add(listener),
    onDue: (listener) => void listeners.add(listener),
  }
}

/** Documents that did not change are the same objects. */
function isSameRead(
  before: SourceSnapshot | undefined,
  { documents, complete, message, revision, superseded, collectable }: SourceSnapshot,
): boolean {
  if (before === undefined || before.complete !== complete || before.message !== message || before.revision !== revision) return false
  // Of configs: what is said about them besides is made anew at every read.
  if (superseded !== undefined || collectable !== undefined) return false
  return before.documents.length === documents.length && documents.every((one, place) => one === before.documents[place])
}

function isSame(before: VmMemory | undefined, after: VmMemory | undefined): boolean {
  return before === after || isSameDocument(before, after) || fingerprint(before) === fingerprint(after)
}

/** By the objects, which is what nearly every VM is at every read; what is not the same object may still be equal. */
function isSameDocument(before: VmMemory | undefined, after: VmMemory | undefined): boolean {
  if (before?.state.kind !== 'present' || after?.state.kind !== 'present') return false
  const { good, removalConfirmed, rivals } = after
  const isSameGood = before.good?.vm === good?.vm && before.good?.generation === good?.generation && before.good?.source === good?.source
  return isSameGood && before.removalConfirmed === removalConfirmed && before.rivals === rivals
}

/** What the date was, or would have been by the clock as it is set now. */
type DateOf = (elapsedMs: number) => string

/** What makes two memories the same to everybody else: not when it was last seen. */
function fingerprint(memory: VmMemory | undefined): string {
  return memory === undefined ? '' : canonicalJson([memory.state, memory.good, memory.removalConfirmed, memory.rivals])
}

function declarationOf(memory: VmMemory | undefined, dateOf: DateOf): Declaration {
  if (memory === undefined) return notRead
  const { good, state } = memory
  switch (state.kind) {
    case 'present':
      return good === undefined ? notRead : { kind: 'present', ...good }
    case 'broken':
      return good === undefined ? { kind: 'unknown', message: state.rendered } : { kind: 'present', ...good }
    case 'doubtful':
      return good === undefined ? { kind: 'unknown', message: state.message } : { kind: 'present', ...good }
    case 'handover':
      return good === undefined ? { kind: 'unknown', message: handOverMessage(state, dateOf) } : { kind: 'present', ...good }
    case 'absent':
      return { kind: 'unknown', message: absentMessage(dateOf(state.sinceMs), memory.removalConfirmed), ...lastWordOf(good?.vm) }
    case 'withheld':
      return { kind: 'unknown', message: state.message, ...lastWordOf(good?.vm) }
    case 'removed':
      return { kind: 'removed', ...lastWordOf(state.was) }
    default:
      return state satisfies never
  }
}

function lastWordOf(vm: VirtualMachine | undefined): Pick<Extract<Declaration, { kind: 'removed' }>, 'deletionPolicy'> {
  return vm === undefined ? {} : { deletionPolicy: vm.spec.deletionPolicy ?? 'Retain' }
}

function absentMessage(since: string, confirmed: boolean): string {
  const grace = 'it is removed when the removal grace is over, and kept when the manifest returns'
  return confirmed ? `its removal was confirmed, and the grace began at ${since}; ${grace}` : `in no manifest since ${since}; ${grace}`
}

function handOverMessage({ sinceMs, from, to }: Extract<VmMemory['state'], { kind: 'handover' }>, dateOf: DateOf): string {
  return `not in source ${from} any more since ${dateOf(sinceMs)}; ${to} takes the VM over when the removal grace is over`
}

function validOf(memory: VmMemory | undefined, dateOf: DateOf): ConditionDraft {
  if (memory === undefined) return condition('Valid', 'Unknown', 'NotRead', notRead.message)
  const { good, state } = memory
  switch (state.kind) {
    case 'present':
      return condition('Valid', 'True', 'Accepted', memory.rivals)
    case 'broken': {
      const kept = good === undefined ? '' : '\nThe last valid state stays in force.'
      const rivals = memory.rivals === '' ? '' : `\n${memory.rivals}`
      return condition('Valid', 'False', 'ManifestInvalid', `${state.rendered.slice(0, longestMessage)}${kept}${rivals}`)
    }
    case 'doubtful':
      return good === undefined
        ? condition('Valid', 'Unknown', 'SourceUnreadable', state.message)
        : condition('Valid', 'True', 'Accepted', `the last valid state stays in force: ${state.message}`)
    case 'handover':
      return good === undefined
        ? condition('Valid', 'Unknown', 'HandOver', handOverMessage(state, dateOf))
        : condition('Valid', 'True', 'HandOver', handOverMessage(state, dateOf))
    case 'absent':
      return condition('Valid', 'Unknown', 'Absent', absentMessage(dateOf(state.sinceMs), memory.removalConfirmed))
    case 'withheld':
      return condition('Valid', 'Unknown', 'RemovalWithheld', state.message)
    case 'removed':
      return condition('Valid', 'False', 'Removed', 'its manifest was taken away')
    default:
      return state satisfies never
  }
}

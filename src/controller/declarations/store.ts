import type { ConditionDraft } from '../../api/conditions.ts'
import { canonicalJson } from '../../api/hash.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import { memoised } from '../../api/memoised.ts'
import { isVmName, type VmName } from '../../api/names.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Declarations } from '../../ports/declarations.ts'
import { lanClaims as lanClaimsOf } from '../../api/manifest/lan-claims.ts'
import type { SourceDocument, SourceSnapshot } from '../../api/manifest/source-documents.ts'
import { resolveClasses, type ResolvedSnapshot } from '../../api/manifest/resolve-classes.ts'
import { declare } from './declare.ts'
import { declareEdits, type Edited } from './declare-edits.ts'
import { type DeclareState, emptyDeclareState, forgetRemoved, nextDueMs, type OwnedVm, type VmMemory } from './state.ts'
import { incompleteIn } from './absence.ts'
import { claimsOf, withForgotten } from './lan/releasing.ts'
import { confirmRemovals } from './mass-removal.ts'
import { datesOf, declarationOf, validOf } from './presentation.ts'

/** A document that is missing in a `hinted` read is not absent. A complete read counts from when it began. */
type SourceRead = { readonly kind: 'hinted' } | { readonly kind: 'whole'; readonly beganMs: number }

/** Keeps the latest reads of the sources and the Swarm, and returns each VM's declaration. */
export interface DeclarationStore extends Declarations {
  /** Takes one source's read, by default a complete one of now; returns the VMs whose declaration changed. */
  fold(snapshot: SourceSnapshot, read?: SourceRead): readonly VmName[]
  /** Takes the VMs that have objects in the Swarm; returns the VMs whose declaration changed. */
  setOwnedVms(vms: ReadonlyMap<VmName, OwnedVm>): readonly VmName[]
  /** Confirms exactly the blocked removals; returns the VMs whose declaration changed, or undefined if other removals are blocked. */
  confirmRemoval(vms: readonly VmName[]): readonly VmName[] | undefined
  /** Every known name with any kind of declaration. */
  known(): readonly VmName[]
  knows(vm: string): vm is VmName
  /** Drops a removed VM once nothing of it is left; returns the VMs whose declaration changed, including this one. */
  forget(vm: VmName): readonly VmName[]
  /** The Valid condition of a VM. */
  valid(vm: VmName): ConditionDraft
  state(): DeclareState
  snapshots(): readonly ResolvedSnapshot[]
  /** Every source was read completely at least once. */
  complete(): boolean
  /** When the next absence is due, by `Clock.elapsed`; it needs a fresh read. */
  nextDueMs(): number | undefined
  /** Called with the VMs whose declaration changed. */
  onChange(listener: (vms: readonly VmName[]) => void): void
  /** Called when `nextDueMs` changed. */
  onDue(listener: () => void): void
}

export interface DeclarationSettings {
  readonly sources: number
  readonly removalGraceMs: number
  /** The cluster's name, from which `auto` MACs are derived; without it they count as different. */
  readonly cluster?: string
}

export function declarationStore(settings: DeclarationSettings, clock: Clock): DeclarationStore {
  const snapshots = new Map<string, SourceSnapshot>()
  const readAtMs = new Map<string, number>()
  const completed = new Set<string>()
  const lanClaims = memoised((vm: VirtualMachine) => lanClaimsOf(vm, settings.cluster))
  let ownedVms: ReadonlyMap<VmName, OwnedVm> | undefined
  let resolved: readonly ResolvedSnapshot[] = []
  let state = emptyDeclareState
  /** The last fold changed nothing, so folding the same input again would not either. */
  let isSettled = false

  const dates = datesOf(clock, settings.removalGraceMs)
  const listeners = new Set<() => void>()
  const changeListeners = new Set<(vms: readonly VmName[]) => void>()
  const dueMs = (): number | undefined => nextDueMs(state, settings.removalGraceMs)

  /** Only time has passed since the last fold, and nothing is due. */
  function isKnown(isSameInput: boolean): boolean {
    return isSameInput && isSettled && dueMs() === undefined && state.leaving.size === 0
  }

  function refold(isSameInput: boolean, wholeOf?: string): readonly VmName[] {
    const [allReported, allRead] = [snapshots.size === settings.sources, completed.size === settings.sources]
    const nowMs = clock.elapsed()
    const times = { nowMs, readAtMs: Math.min(nowMs, ...readAtMs.values()), readAtMsOf: readAtMs, removalGraceMs: settings.removalGraceMs }
    const changed = become(declare(state, { snapshots: resolved, allReported, allRead, ownedVms, lanClaims, wholeOf, ...times }))
    isSettled = isSameInput && changed.length === 0
    return changed
  }

  /** `names` are the VMs that may have changed. */
  function become(next: DeclareState, names: Iterable<VmName> = new Set([...state.vms.keys(), ...next.vms.keys()])): readonly VmName[] {
    const before = state
    state = next
    isSettled = false
    if (dueMs() !== nextDueMs(before, settings.removalGraceMs)) for (const listener of listeners) listener()
    const changed = [...names].filter((name) => !isSame(before.vms.get(name), state.vms.get(name)))
    for (const listener of changeListeners) listener(changed)
    return changed
  }

  /** Only for partial reads: a complete read always does the complete computation. */
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
    get: (vm) => declarationOf(state.vms.get(vm), dates),
    names: () => [...state.vms].flatMap(([name, memory]) => (declarationOf(memory, dates).kind === 'present' ? [name] : [])),
    isNowhere(vm) {
      const isRead = completed.size === settings.sources && incompleteIn({ snapshots: resolved }) === undefined && state.opaque.size === 0
      return isRead && (state.vms.get(vm)?.state.kind ?? 'removed') === 'removed'
    },
    known: () => [...state.vms.keys()],
    knows: (vm): vm is VmName => isVmName(vm) && state.vms.has(vm),
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
    setOwnedVms(vms) {
      const isSame = ownedVms === vms
      if (isKnown(isSame)) return []
      ownedVms = vms
      return refold(isSame)
    },
    confirmRemoval(vms) {
      const next = confirmRemovals(state, vms, clock.elapsed())
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
    valid: (vm) => validOf(state.vms.get(vm), dates),
    state: () => state,
    snapshots: () => resolved,
    complete: () => completed.size === settings.sources,
    nextDueMs: dueMs,
    onChange: (listener) => void changeListeners.add(listener),
    onDue: (listener) => void listeners.add(listener),
  }
}

/** Compares objects, because an unchanged document is the same object in each read. */
function isSameRead(
  before: SourceSnapshot | undefined,
  { documents, complete, message, revision, superseded, collectable }: SourceSnapshot,
): boolean {
  if (before === undefined || before.complete !== complete || before.message !== message || before.revision !== revision) return false
  // A read of configs creates these objects again each time.
  if (superseded !== undefined || collectable !== undefined) return false
  return before.documents.length === documents.length && documents.every((one, place) => one === before.documents[place])
}

function isSame(before: VmMemory | undefined, after: VmMemory | undefined): boolean {
  return before === after || isSameDocument(before, after) || fingerprint(before) === fingerprint(after)
}

/** A fast check by identity, which is enough for nearly every VM; different objects may still be equal. */
function isSameDocument(before: VmMemory | undefined, after: VmMemory | undefined): boolean {
  if (before?.state.kind !== 'present' || after?.state.kind !== 'present') return false
  const { good, removalConfirmed, rivals } = after
  const isSameGood = before.good?.vm === good?.vm && before.good?.generation === good?.generation && before.good?.source === good?.source
  return isSameGood && before.removalConfirmed === removalConfirmed && before.rivals === rivals
}

/** The parts of a memory that others can see; leaves out when the document was last seen. */
function fingerprint(memory: VmMemory | undefined): string {
  return memory === undefined ? '' : canonicalJson([memory.state, memory.good, memory.removalConfirmed, memory.rivals])
}

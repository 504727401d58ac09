import { byText } from '../../api/order.ts'
import type { VmName } from '../../api/names.ts'
import { type DeclareInput, type DeclareState, type VmMemory, blockedNames } from './state.ts'

/** More VMs than this *and* more than this share of all VMs are not removed without a confirmation (ADR 0008). */
const massCount = 3
const massShare = 0.3
/** A source that loses all of at least this many VMs at once counts as emptied; a single last VM may be removed. */
const emptiedCount = 2

interface Times {
  /** When the oldest of the sources' last reads began. */
  readonly readAtMs: number
  readonly removalGraceMs: number
}

interface Known {
  readonly name: VmName
  readonly memory: VmMemory
  /** Empty if unknown. */
  readonly source: string
}

/** Removes VMs that have been absent for the grace period, unless they are too many. Confirmed ones do not count. */
export function guardMassRemoval(
  judged: ReadonlyMap<VmName, VmMemory>,
  input: Times & Pick<DeclareInput, 'ownedVms'>,
): Pick<DeclareState, 'vms' | 'stalled'> {
  const known = [...judged]
    .filter(([, memory]) => memory.state.kind !== 'removed' && !memory.removalConfirmed)
    .map(([name, memory]) => ({ name, memory, source: sourceOf(memory) ?? input.ownedVms?.get(name)?.source ?? '' }))
  const absent = known.filter(isAbsent)
  const emptied = emptiedSources(known)
  const isMass = absent.length > massCount && absent.length > massShare * known.length
  const blocked = absent.filter(({ source }) => isMass || emptied.has(source))
  const stalled = isMass ? massMessage(absent.length, known.length) : emptiedMessage(blocked.length, [...emptied])
  const held = new Set(blocked.map(({ name }) => name))
  const vms = new Map([...judged].map(([name, memory]) => [name, settle(memory, input, held.has(name) ? stalled : undefined)]))
  const asked = known.map(({ memory }) => askMessage(memory)).find((message) => message !== undefined)
  return { vms, stalled: stalled === undefined || asked === undefined ? (stalled ?? asked) : `${asked}; ${stalled}` }
}

function sourceOf({ origin, good }: VmMemory): string | undefined {
  return origin?.source ?? good?.source
}

function isAbsent({ memory }: Known): boolean {
  return memory.state.kind === 'absent'
}

/** The sources that lost all their VMs. */
function emptiedSources(known: readonly Known[]): ReadonlySet<string> {
  const sources = Map.groupBy(known, ({ source }) => source)
  return new Set([...sources].filter(([, own]) => own.length >= emptiedCount && own.every(isAbsent)).map(([source]) => source))
}

const wayOut = 'restore the manifests, remove a few at a time, or confirm with docker vm confirm-removal'

function massMessage(absent: number, known: number): string {
  return `the manifests of ${absent} of ${known} VMs are gone, too many to remove without a confirmation: ${wayOut}`
}

function emptiedMessage(absent: number, sources: readonly string[]): string | undefined {
  if (sources.length === 0) return undefined
  const named = sources
    .filter((one) => one !== '')
    .toSorted(byText)
    .join(' and ')
  return `the manifests of all ${absent} VMs${named === '' ? '' : ` of source ${named}`} are gone, as with an emptied or missing directory: ${wayOut}`
}

/** Why this VM is not removed without a confirmation. */
function askMessage({ state, mustConfirm }: VmMemory): string | undefined {
  if (state.kind !== 'absent' || mustConfirm === undefined) return undefined
  return `${mustConfirm}: restore the manifest, or confirm with docker vm confirm-removal`
}

function settle(memory: VmMemory, times: Times, stalled: string | undefined): VmMemory {
  if (memory.state.kind !== 'absent') return memory
  const { sinceMs } = memory.state
  // The loss of disks is more serious, so it is shown first.
  const message = askMessage(memory) ?? stalled
  if (message !== undefined && !memory.removalConfirmed) return { ...memory, state: { kind: 'blocked', message } }
  if (times.readAtMs - sinceMs < times.removalGraceMs) return memory
  return { ...memory, good: undefined, removalConfirmed: false, state: { kind: 'removed', was: memory.good?.vm } }
}

/**
 * Confirms blocked removals; undefined if the names are not exactly the blocked ones. The grace period begins now, so a mistake can still
 * be corrected by restoring the manifests.
 */
export function confirmRemovals(state: DeclareState, names: readonly VmName[], nowMs: number): DeclareState | undefined {
  const meant = new Set(names)
  const blocked = blockedNames(state)
  if (blocked.length !== meant.size || !blocked.every((name) => meant.has(name))) return undefined
  const confirmed = (memory: VmMemory): VmMemory => ({ ...memory, removalConfirmed: true, state: { kind: 'absent', sinceMs: nowMs } })
  const vms = new Map([...state.vms].map(([name, memory]) => [name, meant.has(name) ? confirmed(memory) : memory]))
  return { ...state, vms, stalled: undefined }
}

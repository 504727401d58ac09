import { byText } from '../../api/order.ts'
import type { VmName } from '../../api/names.ts'
import { type DeclareInput, type DeclareState, type VmMemory, withheldNames } from './state.ts'

/** More than this many at once *and* more than this share of what is known are not removed without being told to (ADR 0008). */
const massCount = 3
const massShare = 0.3
/** A source that loses all of so many at once was emptied; the last one of a source may go by itself. */
const emptiedCount = 2

interface Times {
  /** When the oldest of the sources' last reads began. */
  readonly readAtMs: number
  readonly removalGraceMs: number
}

interface Known {
  readonly name: VmName
  readonly memory: VmMemory
  /** Empty where nobody knows. */
  readonly source: string
}

/** Removes what has been absent for the grace, unless it would be too many at once. What was confirmed counts as gone already: it covers no others. */
export function guardMassRemoval(
  judged: ReadonlyMap<VmName, VmMemory>,
  input: Times & Pick<DeclareInput, 'world'>,
): Pick<DeclareState, 'vms' | 'stalled'> {
  const known = [...judged]
    .filter(([, memory]) => memory.state.kind !== 'removed' && !memory.removalConfirmed)
    .map(([name, memory]) => ({ name, memory, source: sourceOf(memory) ?? input.world?.get(name)?.source ?? '' }))
  const absent = known.filter(isAbsent)
  const emptied = emptiedSources(known)
  const isMass = absent.length > massCount && absent.length > massShare * known.length
  const withheld = absent.filter(({ source }) => isMass || emptied.has(source))
  const stalled = isMass ? massMessage(absent.length, known.length) : emptiedMessage(withheld.length, [...emptied])
  const held = new Set(withheld.map(({ name }) => name))
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

/** The sources of which nothing is left. */
function emptiedSources(known: readonly Known[]): ReadonlySet<string> {
  const sources = Map.groupBy(known, ({ source }) => source)
  return new Set([...sources].filter(([, own]) => own.length >= emptiedCount && own.every(isAbsent)).map(([source]) => source))
}

const wayOut = 'put the manifests back, take them away a few at a time, or see and confirm with docker vm confirm-removal'

function massMessage(absent: number, known: number): string {
  return `${absent} of ${known} VMs are in no manifest any more, too many at once to remove without being told to: ${wayOut}`
}

function emptiedMessage(absent: number, sources: readonly string[]): string | undefined {
  if (sources.length === 0) return undefined
  const named = sources
    .filter((one) => one !== '')
    .toSorted(byText)
    .join(' and ')
  return `all ${absent} VMs${named === '' ? '' : ` of source ${named}`} are in no manifest any more, which an emptied or missing directory looks like, too: ${wayOut}`
}

/** Why this one is not removed without being told to. */
function askMessage({ state, mustConfirm }: VmMemory): string | undefined {
  if (state.kind !== 'absent' || mustConfirm === undefined) return undefined
  return `${mustConfirm}: put the manifest back, or see and confirm with docker vm confirm-removal`
}

function settle(memory: VmMemory, times: Times, stalled: string | undefined): VmMemory {
  if (memory.state.kind !== 'absent') return memory
  const { sinceMs } = memory.state
  // Lost disks are the graver matter.
  const message = askMessage(memory) ?? stalled
  if (message !== undefined && !memory.removalConfirmed) return { ...memory, state: { kind: 'withheld', message } }
  if (times.readAtMs - sinceMs < times.removalGraceMs) return memory
  return { ...memory, good: undefined, removalConfirmed: false, state: { kind: 'removed', was: memory.good?.vm } }
}

/**
 * Takes a person's word that these removals are meant; undefined where the names are not exactly those that are withheld. The grace begins now, so
 * that a mistake can still be put right, and what is seen again in it stays.
 */
export function confirmWithheld(state: DeclareState, names: readonly VmName[], nowMs: number): DeclareState | undefined {
  const meant = new Set(names)
  const withheld = withheldNames(state)
  if (withheld.length !== meant.size || !withheld.every((name) => meant.has(name))) return undefined
  const confirmed = (memory: VmMemory): VmMemory => ({ ...memory, removalConfirmed: true, state: { kind: 'absent', sinceMs: nowMs } })
  const vms = new Map([...state.vms].map(([name, memory]) => [name, meant.has(name) ? confirmed(memory) : memory]))
  return { ...state, vms, stalled: undefined }
}

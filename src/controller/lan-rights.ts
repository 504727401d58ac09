import type { ManifestIssue } from '../api/manifest.ts'
import type { VmName } from '../api/names.ts'
import { byText } from '../api/order.ts'
import { documentIssue } from '../ports/document-issue.ts'
import { claimedWithin, type LanClaim, shownClaim, takenBy } from '../ports/lan-claims.ts'
import type { SourceDocument } from '../ports/manifest-source.ts'
import { placeOf } from './claims.ts'
import type { DeclareInput, DeclareState, VmMemory } from './declare-state.ts'
import { type Claimant, type Refusal, refusedClaims } from './lan-conflicts.ts'

type Memories = ReadonlyMap<VmName, VmMemory>
type Judged = Pick<DeclareState, 'vms' | 'issues'>

/**
 * One MAC, one VM; and one address. A VM whose document claims what another one has keeps its last good state and is told (`VM031`), as with any
 * other error in its document. `documents` are those that everything else accepts.
 */
export function settleLan(before: Memories, judged: Memories, documents: ReadonlyMap<VmName, SourceDocument>, input: DeclareInput): Judged {
  // Nearly always, and this is asked at every look.
  if (allDiffer(judged, input)) return { vms: judged, issues: [] }
  const refused = refusedClaims(claimantsIn(before, judged, input), input.world !== undefined)
  if (refused.size === 0) return { vms: judged, issues: [] }
  const vms = new Map(judged)
  const issues: DeclareState['issues'][number][] = []
  for (const [name, refusal] of refused) {
    const [memory, document] = [judged.get(name), documents.get(name)]
    // Only a document that is valid by itself can ask for anything; a stand-in for one that is not simply does not count.
    if (memory === undefined || document === undefined) continue
    if (refusal.kind === 'unsettled') {
      vms.set(name, undecided(before.get(name), memory, refusal))
      continue
    }
    const issue = documentIssue(document, issueOf(refusal, judged))
    if (document.ok) issues.push({ ...issue, sources: [document.origin.source] })
    const state = document.ok ? ({ kind: 'broken', rendered: issue.rendered } as const) : memory.state
    vms.set(name, { ...memory, good: before.get(name)?.good, state })
  }
  return { vms, issues }
}

function allDiffer(judged: Memories, input: DeclareInput): boolean {
  const keys = [...judged.values()].flatMap((memory) => claimsOf(memory, input).map((claim) => claim.key))
  return new Set(keys).size === keys.length
}

/**
 * In the order in which they get what nobody holds. After a restart nobody is remembered to hold anything, and a VM that the Swarm shows as it is
 * declared is the one that has it.
 */
function claimantsIn(before: Memories, judged: Memories, input: DeclareInput): readonly Claimant[] {
  const seniority = ([name, { good }]: readonly [VmName, VmMemory]): number => {
    const owned = input.world?.get(name)
    return owned === undefined ? 2 : owned.generation === undefined || owned.generation !== good?.generation ? 1 : 0
  }
  const place = ({ origin }: VmMemory): string => (origin === undefined ? '' : `${origin.source}\0${origin.file}`)
  return [...judged]
    .toSorted(
      (a, b) =>
        seniority(a) - seniority(b) ||
        byText(place(a[1]), place(b[1])) ||
        (a[1].origin?.line ?? 0) - (b[1].origin?.line ?? 0) ||
        byText(a[0], b[0]),
    )
    .map(([name, memory]) => ({ name, held: claimsOf(before.get(name), input), wanted: claimsOf(memory, input) }))
}

function claimsOf(memory: VmMemory | undefined, input: DeclareInput): readonly LanClaim[] {
  const vm = memory?.state.kind === 'removed' ? memory.state.was : memory?.good?.vm
  return vm === undefined ? [] : input.lanClaims(vm)
}

function undecided(before: VmMemory | undefined, memory: VmMemory, { claim, others }: Extract<Refusal, { kind: 'unsettled' }>): VmMemory {
  const rivals = others.map((name) => `"${name}"`).join(', ')
  const message = `${shownClaim(claim)} is claimed by ${rivals} too, and the Swarm has not said yet which VM has it`
  const unseen = { ...memory, good: undefined, origin: undefined, seenAtMs: undefined, rivals: '' }
  return { ...(before ?? unseen), state: { kind: 'doubtful', message } }
}

function issueOf(refusal: Exclude<Refusal, { kind: 'unsettled' }>, judged: Memories): ManifestIssue {
  if (refusal.kind === 'within') return claimedWithin(refusal.claim, refusal.other)
  const origin = judged.get(refusal.holder)?.origin
  return takenBy(refusal.claim, refusal.holder, origin === undefined ? '' : placeOf(origin))
}

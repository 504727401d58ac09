import type { ManifestIssue } from '../../../api/manifest.ts'
import type { VmName } from '../../../api/names.ts'
import { byText } from '../../../api/order.ts'
import { documentIssue } from '../../../api/manifest/document-issue.ts'
import { claimedWithin, shownClaim, takenBy } from '../../../api/manifest/lan-claims.ts'
import type { SourceDocument } from '../../../api/manifest/source-documents.ts'
import { placeOf } from '../name-claims.ts'
import type { DeclareInput, DeclareState, VmMemory } from '../state.ts'
import { type Claimant, type Refusal, refusedClaims } from './conflicts.ts'
import { claimsOf, keptBy, nextLeaving } from './releasing.ts'

type Memories = ReadonlyMap<VmName, VmMemory>
type Judged = Pick<DeclareState, 'vms' | 'issues'>

/**
 * Gives each MAC and each address to one VM. A document that claims another VM's is invalid (`VM031`), and its VM keeps its accepted state.
 * `documents` passed all other checks.
 */
export function settleLan(
  before: DeclareState,
  judged: Memories,
  documents: ReadonlyMap<VmName, SourceDocument>,
  input: DeclareInput,
): Judged & Pick<DeclareState, 'leaving'> {
  const settled = refuse(before, judged, documents, input)
  return { ...settled, leaving: nextLeaving(before, settled.vms, input) }
}

function refuse(before: DeclareState, judged: Memories, documents: ReadonlyMap<VmName, SourceDocument>, input: DeclareInput): Judged {
  // A fast path for nearly every fold.
  if (input.ownedVms !== undefined && allDiffer(before, judged, input)) return { vms: judged, issues: [] }
  const refused = refusedClaims(claimantsIn(before, judged, input), input.ownedVms !== undefined)
  if (refused.size === 0) return { vms: judged, issues: [] }
  const vms = new Map(judged)
  const issues: DeclareState['issues'][number][] = []
  for (const [name, refusal] of refused) {
    const [memory, document] = [judged.get(name), documents.get(name)]
    // Only a valid document can claim anything; the stand-in of an invalid one is skipped.
    if (memory === undefined || document === undefined) continue
    if (refusal.kind === 'unsettled') {
      vms.set(name, undecided(before.vms.get(name), memory, refusal))
      continue
    }
    const issue = documentIssue(document, issueOf(refusal, judged))
    if (document.ok) issues.push({ ...issue, sources: [document.origin.source] })
    const state = document.ok ? ({ kind: 'broken', rendered: issue.rendered } as const) : memory.state
    const { good, inForceMs } = before.vms.get(name) ?? {}
    vms.set(name, { ...memory, good, inForceMs, state })
  }
  return { vms, issues }
}

function allDiffer(before: DeclareState, judged: Memories, input: DeclareInput): boolean {
  const names = new Map<string, VmName>()
  for (const name of new Set([...judged.keys(), ...before.leaving.keys()])) {
    const claims = claimsOf(judged.get(name), input)
    if (new Set(claims.map(({ key }) => key)).size !== claims.length) return false
    for (const { key } of [...claims, ...keptBy(name, before, input)]) {
      if ((names.get(key) ?? name) !== name) return false
      names.set(key, name)
    }
  }
  return true
}

/**
 * In the order in which they get free MACs and addresses. After a restart no owner is remembered, so VMs whose service matches their
 * document come first.
 */
function claimantsIn(before: DeclareState, judged: Memories, input: DeclareInput): readonly Claimant[] {
  const seniority = ([name, { good }]: readonly [VmName, VmMemory]): number => {
    const owned = input.ownedVms?.get(name)
    return owned === undefined ? 2 : owned.generation === undefined || owned.generation !== good?.generation ? 1 : 0
  }
  const place = ({ origin }: VmMemory): string => (origin === undefined ? '' : `${origin.source}\0${origin.file}`)
  const ranked = [...judged].toSorted(
    (a, b) =>
      seniority(a) - seniority(b) ||
      byText(place(a[1]), place(b[1])) ||
      (a[1].origin?.line ?? 0) - (b[1].origin?.line ?? 0) ||
      byText(a[0], b[0]),
  )
  const forgotten = [...before.leaving.keys()].filter((name) => !judged.has(name))
  return [...ranked.map(([name]) => name), ...forgotten].map((name) => ({
    name,
    held: claimsOf(before.vms.get(name), input),
    wanted: claimsOf(judged.get(name), input),
    kept: keptBy(name, before, input),
  }))
}

function undecided(before: VmMemory | undefined, memory: VmMemory, { claim, others }: Extract<Refusal, { kind: 'unsettled' }>): VmMemory {
  const rivals = others.length === 0 ? '' : `is claimed by ${others.map((name) => `"${name}"`).join(', ')} too; `
  const message = `${shownClaim(claim)} ${rivals === '' ? 'may be in use by a guest: ' : rivals}waiting for Swarm state to tell which VM has it`
  const unseen = { ...memory, good: undefined, origin: undefined, seenAtMs: undefined, inForceMs: undefined, rivals: '' }
  return { ...(before ?? unseen), state: { kind: 'unknown', message } }
}

function issueOf(refusal: Exclude<Refusal, { kind: 'unsettled' }>, judged: Memories): ManifestIssue {
  if (refusal.kind === 'within') return claimedWithin(refusal.claim, refusal.other)
  const origin = judged.get(refusal.holder)?.origin
  return takenBy(refusal.claim, refusal.holder, origin === undefined ? '' : placeOf(origin), refusal.by)
}

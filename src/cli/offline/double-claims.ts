import type { VmName } from '../../api/names.ts'
import { byText } from '../../api/order.ts'
import { declaredTwice, documentIssue } from '../../api/manifest/document-issue.ts'
import { claimedTwiceWithin, claimedWithin, lanClaims, takenBy } from '../../api/manifest/lan-claims.ts'
import type { Origin, SourceDocument, SourceIssue, ValidDocument } from '../../api/manifest/source-documents.ts'

/**
 * Conflicts between documents: one VM declared twice (`VM030`), or one MAC or address in two VMs (`VM031`). The first by source, file and line keeps
 * it, as in a cluster that has none of them. Returns the issues of all others.
 */
export function doubleClaims(documents: readonly SourceDocument[]): ReadonlyMap<SourceDocument, readonly SourceIssue[]> {
  const sorted = documents.filter((one) => one.ok || one.isClass !== true).toSorted(byOrigin)
  const second = secondDeclarations(sorted)
  const valid = sorted.filter((one): one is ValidDocument => one.ok && !second.has(one))
  return new Map([...second, ...takenAddresses(valid)])
}

function secondDeclarations(sorted: readonly SourceDocument[]): Map<SourceDocument, readonly SourceIssue[]> {
  const first = new Map<string, Origin>()
  const second = new Map<SourceDocument, readonly SourceIssue[]>()
  for (const document of sorted) {
    const name = document.ok ? document.vm.metadata.name : document.name
    if (name === undefined) continue
    const keeper = first.get(name)
    if (keeper === undefined) first.set(name, document.origin)
    else second.set(document, [documentIssue(document, declaredTwice(`VM "${name}"`, placeOf(keeper)))])
  }
  return second
}

function takenAddresses(sorted: readonly ValidDocument[]): Map<SourceDocument, readonly SourceIssue[]> {
  const holders = new Map<string, { readonly name: VmName; readonly origin: Origin }>()
  const refused = new Map<SourceDocument, readonly SourceIssue[]>()
  for (const document of sorted) {
    const { vm, origin } = document
    // Only the cluster knows the value of an auto MAC.
    const claims = lanClaims(vm, undefined)
    const pair = claimedTwiceWithin(claims)
    const within = pair === undefined ? [] : [claimedWithin(pair.claim, pair.other)]
    const taken = claims.flatMap((claim) => {
      const holder = holders.get(claim.key)
      return holder === undefined ? [] : [takenBy(claim, holder.name, placeOf(holder.origin))]
    })
    if (within.length + taken.length > 0) {
      refused.set(
        document,
        [...within, ...taken].map((issue) => documentIssue(document, issue)),
      )
    } else for (const { key } of claims) holders.set(key, { name: vm.metadata.name, origin })
  }
  return refused
}

function placeOf({ file, line }: Origin): string {
  return `${file}:${line}`
}

function byOrigin({ origin: a }: SourceDocument, { origin: b }: SourceDocument): number {
  return byText(a.source, b.source) || byText(a.file, b.file) || a.line - b.line
}

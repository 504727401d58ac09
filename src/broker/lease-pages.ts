import type { VmUid } from '../api/names.ts'
import type { BrokerRequest, BrokerResponse, LeaseFact } from '../api/wire/broker-admin.ts'
import type { Leases } from './leases.ts'

/** Page size within a frame of 64 KiB. The longest fact has 14 KiB, and the rest of the answer some hundred bytes. */
const pageBytes = 48 * 1024

/** Returns all requested leases or, with `after`, one page that fits into a frame. */
export function answerLeases(
  leases: Pick<Leases, 'uids' | 'fact'>,
  { id, uids, after }: Extract<BrokerRequest, { type: 'leases' }>,
): Extract<BrokerResponse, { type: 'leases' }> {
  const asked = uids ?? leases.uids()
  if (after === undefined) return { type: 'leases', id, leases: asked.flatMap((uid) => leases.fact(uid) ?? []) }
  const left = [...new Set(asked)].filter((uid) => after === null || uid > after).toSorted()
  const page: LeaseFact[] = []
  let bytes = 0
  for (const uid of left) {
    const fact = leases.fact(uid)
    if (fact === undefined) continue
    bytes += Buffer.byteLength(JSON.stringify(fact))
    if (bytes > pageBytes) return { type: 'leases', id, leases: page, next: lastOf(page) }
    page.push(fact)
  }
  return { type: 'leases', id, leases: page, next: null }
}

function lastOf(page: readonly LeaseFact[]): VmUid | null {
  return page.at(-1)?.uid ?? null
}

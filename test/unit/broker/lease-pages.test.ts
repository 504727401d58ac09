import { describe, expect, it } from 'vitest'
import { brokerRequest, type LeaseFact } from '../../../src/api/wire/broker-admin.ts'
import { encodeFrame } from '../../../src/api/wire/frames.ts'
import { answerLeases } from '../../../src/broker/lease-pages.ts'
import { aMac, aUid } from '../../support/branded.ts'
import type { VmUid } from '../../../src/api/names.ts'

const uidOf = (index: number): VmUid => aUid(`00000000-0000-4000-8000-${String(index).padStart(12, '0')}`)

function aFact(uid: VmUid): LeaseFact {
  const nic = { name: 'lan', tap: 'sv0123456789ab', bridge: 'br0', mac: aMac('52:54:00:00:00:01'), carrier: true, attached: true }
  return { uid, granted: true, held: false, waiting: 1, waitReason: 'ImageLocked', waitMessage: '"'.repeat(2000), nics: [nic, nic] }
}

/** As a broker with so many VMs, in no order. */
function aNode(count: number) {
  const uids = Array.from({ length: count }, (_, index) => uidOf(count - index))
  const looked: string[] = []
  const fact = (uid: VmUid): LeaseFact | undefined => {
    looked.push(uid)
    return uids.includes(uid) ? aFact(uid) : undefined
  }
  return { uids: () => uids, fact, looked }
}

describe('answering for leases', () => {
  it('returns only the requested VMs', () => {
    const node = aNode(500)
    const answer = answerLeases(node, { type: 'leases', id: 7, uids: [uidOf(3), uidOf(9999)] })
    expect(answer.leases.map(({ uid }) => uid)).toEqual([uidOf(3)])
    expect(node.looked).toHaveLength(2)
  })

  it('gives everything in pages that fit into frames', () => {
    const node = aNode(300)
    const seen: string[] = []
    for (let after: VmUid | null | undefined = null; after !== undefined; ) {
      const answer = answerLeases(node, { type: 'leases', id: 7, after })
      encodeFrame(answer)
      seen.push(...answer.leases.map(({ uid }) => uid))
      after = answer.next ?? undefined
    }
    expect(seen).toEqual(node.uids().toSorted())
  })

  it('gives an agent of an earlier release everything at once', () => {
    const answer = answerLeases(aNode(300), { type: 'leases', id: 7 })
    expect(answer.leases).toHaveLength(300)
    expect(answer.next).toBeUndefined()
  })

  it('takes at most 64 uids', () => {
    const uids = Array.from({ length: 65 }, (_, index) => uidOf(index))
    expect(brokerRequest.safeParse({ type: 'leases', id: 1, uids }).success).toBe(false)
    expect(brokerRequest.safeParse({ type: 'leases', id: 1, uids: uids.slice(1) }).success).toBe(true)
  })
})

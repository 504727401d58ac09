import * as z from 'zod'
import { hashOf } from '../hash.ts'
import { byText } from '../order.ts'
import { type PrepareOrder, type PrepareStatus, type ProbeOutcome, probeRequest, type VmStatus } from './agent-api.ts'
import { uidField } from './common.ts'

/**
 * `POST /v1/unchanged`: one question for many VMs of a node. The caller names questions of agent-api.ts that it has answers to, each with the mark
 * of its answer; the agent asks itself each of them and tells which still have that answer. Of the others nothing is said: they are asked again
 * one by one. An agent of release 0.1 does not know the path.
 */
const mark = z.string().regex(/^[0-9a-f]{32}$/)

const knownAnswer = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('vm'), uid: uidField, mark }),
  /**
   * `order` is the mark of the order that was sent. Where it is the last one that the agent carried out for this VM, and was not revoked since, it
   * is carried out again, as if it had been sent: an old question that arrives late brings nothing back.
   */
  z.object({ kind: z.literal('prepare'), uid: uidField, order: mark, mark }),
  z.object({ kind: z.literal('probe'), request: probeRequest, mark }),
])
export type KnownAnswer = z.output<typeof knownAnswer>

/** In one request. */
export const maxKnownAnswers = 128

export const unchangedRequest = z.object({ version: z.literal(1), known: z.array(knownAnswer).min(1).max(maxKnownAnswers) })

export const unchangedAnswer = z.object({
  version: z.literal(1),
  /** Places in `known`. */
  same: z.array(z.int().min(0)).max(maxKnownAnswers),
})

/**
 * Two peers of one release give the same answer the same mark. Of two releases they may not: then the answer counts as another one, and is asked
 * for by itself. Left out is what differs at every look: how long ago an address was heard, and how long a probe took.
 */
export function vmMark({ sightings, ...status }: VmStatus): string {
  return hashOf([status, addressesIn(sightings)])
}

export function prepareMark(status: PrepareStatus): string {
  return hashOf(status)
}

export function orderMark(order: PrepareOrder): string {
  return hashOf(order)
}

export function probeMark({ outcome, reason, message, mac }: ProbeOutcome): string {
  return hashOf([outcome, reason, message, mac])
}

/** Which address a MAC has is decided by how it was heard, then by which was heard last: that order is part of the answer. */
function addressesIn(sightings: VmStatus['sightings']): string[] {
  const sorted = sightings.toSorted(
    (a, b) => byText(a.mac, b.mac) || byText(b.via, a.via) || a.ageMs - b.ageMs || byText(a.ip, b.ip) || byText(a.interface, b.interface),
  )
  return sorted.map(({ mac, ip, via, interface: where }) => `${mac} ${ip} ${via} ${where}`)
}

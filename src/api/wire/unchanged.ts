import * as z from 'zod/mini'
import { hashOf } from '../hash.ts'
import { byText } from '../order.ts'
import { type PrepareOrder, type PrepareStatus, type ProbeOutcome, probeRequest, type VmStatus } from './agent-api.ts'
import { uidField } from '../names.ts'
import { markField } from './common.ts'

/**
 * `POST /v1/unchanged`: revalidates many answers of a node with one request. The caller sends its earlier requests (agent-api.ts), each with
 * the mark of its answer; the agent repeats them and returns which answers are unchanged. An agent of release 0.1 does not have this path.
 */
const knownAnswer = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('vm'), uid: uidField, mark: markField }),
  /**
   * `order` is the mark of the order that was sent. The agent goes on with it only if it is the VM's last one and was not revoked since, so a
   * late request restores nothing.
   */
  z.object({ kind: z.literal('prepare'), uid: uidField, order: markField, mark: markField }),
  z.object({ kind: z.literal('probe'), request: probeRequest, mark: markField }),
])
export type KnownAnswer = z.output<typeof knownAnswer>

/** Maximum in one request. */
export const maxKnownAnswers = 128

export const unchangedRequest = z.object({
  version: z.literal(1),
  known: z.array(knownAnswer).check(z.minLength(1), z.maxLength(maxKnownAnswers)),
})

export const unchangedAnswer = z.object({
  version: z.literal(1),
  /** Indexes in `known`. */
  same: z.array(z.int().check(z.minimum(0))).check(z.maxLength(maxKnownAnswers)),
})

/**
 * Peers of the same release compute the same mark for the same answer. Peers of different releases may not, which counts as a changed
 * answer. Leaves out what differs each time: the age of an address, the duration of a probe, and the memory of a guest.
 */
export function vmMark({ sightings, runner, ...status }: VmStatus): string {
  const { memory: _statistics, ...kept } = runner ?? {}
  return hashOf([{ ...status, runner: runner && kept }, addressesIn(sightings)])
}

export function prepareMark(status: PrepareStatus): string {
  return hashOf(status)
}

/** An order that can be named in later requests. */
export type MarkedOrder = PrepareOrder & { readonly mark: string }

export function marked(order: PrepareOrder): MarkedOrder {
  return { ...order, mark: hashOf(order) }
}

export function probeMark({ outcome, reason, message, mac }: ProbeOutcome): string {
  return hashOf([outcome, reason, message, mac])
}

/** Includes the order of the sightings, because it decides which address a MAC has. */
function addressesIn(sightings: VmStatus['sightings']): string[] {
  const sorted = sightings.toSorted(
    (a, b) => byText(a.mac, b.mac) || byText(b.via, a.via) || a.ageMs - b.ageMs || byText(a.ip, b.ip) || byText(a.interface, b.interface),
  )
  return sorted.map(({ mac, ip, via, interface: where }) => `${mac} ${ip} ${via} ${where}`)
}

import type { PrepareStatus, ProbeOutcome, ProbeRequest, VmStatus } from '../api/wire/agent-api.ts'
import type { VmUid } from '../api/names.ts'
import { type KnownAnswer, prepareMark, probeMark, vmMark } from '../api/wire/unchanged.ts'

/** An agent that answers one request at a time. */
export interface SingleQuestions {
  vm(uid: VmUid, signal: AbortSignal | undefined): Promise<VmStatus | undefined>
  /** Repeats the last order if it has this mark; otherwise returns undefined. */
  repeat(uid: VmUid, order: string): Promise<PrepareStatus | undefined>
  probe(request: ProbeRequest, signal: AbortSignal | undefined): Promise<ProbeOutcome>
}

/** Enough that one slow runner does not delay the other requests, few enough for a node with hundreds of VMs. */
const atOnce = 16

/**
 * Repeats each request and returns the indexes of those whose answer still has the known mark. A failed request is left out; the caller
 * then asks again to learn why.
 */
export async function stillSame(
  single: SingleQuestions,
  known: readonly KnownAnswer[],
  signal: AbortSignal | undefined,
): Promise<readonly number[]> {
  const same: number[] = []
  const waiting = known.entries()
  const worker = async (): Promise<void> => {
    for (const [place, one] of waiting) {
      signal?.throwIfAborted()
      if ((await markNow(single, one, signal)) === one.mark) same.push(place)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, known.length) }, worker))
  return same.toSorted((a, b) => a - b)
}

async function markNow(single: SingleQuestions, one: KnownAnswer, signal: AbortSignal | undefined): Promise<string | undefined> {
  try {
    switch (one.kind) {
      case 'vm': {
        const status = await single.vm(one.uid, signal)
        return status === undefined ? undefined : vmMark(status)
      }
      case 'prepare': {
        const status = await single.repeat(one.uid, one.order)
        return status === undefined ? undefined : prepareMark(status)
      }
      case 'probe':
        return probeMark(await single.probe(one.request, signal))
      default:
        return one satisfies never
    }
  } catch {
    return undefined
  }
}

import type { SeededRandom } from './seeded-random.ts'

/** The faults of one call of a controller. */
const callFaults = [
  /** The controller dies before the call is sent. */
  'crash-before',
  /** It dies when the call has taken hold, before the reply. */
  'crash-committed',
  /** It dies with the reply in hand. */
  'crash-after',
  /** The call never arrives, and the controller gets no answer. */
  'lost-request',
  /** The call is applied, and its reply is lost. */
  'lost-reply',
  /** Nothing happens for 15 s, as with a killed leader. Then the call is applied and answered. */
  'hang',
  /** The call is applied at once, but there is no answer within 15 s. */
  'hang-lost',
  /** 15 s without a word, and nothing happened. */
  'hang-failed',
] as const
export type CallFaultKind = (typeof callFaults)[number]

/** The faults of one step of an agent. */
const stepFaults = [
  /** It dies before the step. */
  'kill-before',
  /** It dies when the step is done. */
  'kill-after',
  /** No space is left on the device. */
  'no-space',
  /** The device fails. */
  'io-error',
  /** The step takes seconds. */
  'slow',
] as const
export type StepFaultKind = (typeof stepFaults)[number]

const windowFaults = [
  'events-silent',
  'events-broken',
  'swarm-away',
  'stale-reads',
  'agent-away',
  'agent-dead',
  'agent-slow',
  'broker-away',
  'node-off',
  'node-cut-off',
  'disk-full',
  'source-unreadable',
  'two-controllers',
  'clock-jump',
  'containers-linger',
  'runner-hostile',
] as const
export type WindowFaultKind = (typeof windowFaults)[number]

export type Fault =
  /** Calls are numbered from 1, through all lives of the controller. */
  | { readonly kind: 'call'; readonly call: number; readonly what: CallFaultKind }
  /** Steps of all agents are numbered from 1. */
  | { readonly kind: 'step'; readonly step: number; readonly what: StepFaultKind }
  /** A read that is answered from the state before the last `writes` writes. */
  | { readonly kind: 'stale'; readonly call: number; readonly writes: number }
  | { readonly kind: 'event'; readonly event: number; readonly what: 'drop' | 'double' | 'delay' }
  /** From `atMs` after the start for `forMs`. `which` picks a node, or the number of writes that reads are behind, or seconds of a jump. */
  | { readonly kind: 'window'; readonly what: WindowFaultKind; readonly atMs: number; readonly forMs: number; readonly which: number }

export function faultText(fault: Fault): string {
  switch (fault.kind) {
    case 'call':
      return `call ${fault.call} ${fault.what}`
    case 'step':
      return `step ${fault.step} ${fault.what}`
    case 'stale':
      return `stale ${fault.call} ${fault.writes}`
    case 'event':
      return `event ${fault.event} ${fault.what}`
    case 'window':
      return `window ${fault.what} ${fault.atMs} ${fault.forMs} ${fault.which}`
    default:
      return fault satisfies never
  }
}

/** Several, with a semicolon between. */
export function parseFaults(text: string): Fault[] {
  return text
    .split(';')
    .filter((one) => one.trim() !== '')
    .map(parseFault)
}

/** Reads what `faultText` wrote. */
export function parseFault(text: string): Fault {
  const [kind, first = '', second = '', third = '', fourth = ''] = text.trim().split(/\s+/)
  switch (kind) {
    case 'call':
      return { kind, call: Number(first), what: oneOf(callFaults, second) }
    case 'step':
      return { kind, step: Number(first), what: oneOf(stepFaults, second) }
    case 'stale':
      return { kind, call: Number(first), writes: Number(second) }
    case 'event':
      return { kind, event: Number(first), what: oneOf(['drop', 'double', 'delay'] as const, second) }
    case 'window':
      return { kind, what: oneOf(windowFaults, first), atMs: Number(second), forMs: Number(third), which: Number(fourth) }
    default:
      throw new Error(`"${text}" is no fault: call K WHAT, step K WHAT, stale K WRITES, event N WHAT, window WHAT AT_MS FOR_MS WHICH`)
  }
}

function oneOf<T extends string>(known: readonly T[], text: string): T {
  const found = known.find((one) => one === text)
  if (found === undefined) throw new Error(`"${text}" is none of ${known.join(', ')}`)
  return found
}

/** Up to six of them; most calls of a run come in its first minute. */
export function randomFaults(random: SeededRandom): Fault[] {
  return Array.from({ length: random.int(0, 6) }, () => randomFault(random))
}

function randomFault(random: SeededRandom): Fault {
  const call = Math.round(10 ** (random.next() * 2.8))
  switch (random.int(0, 6)) {
    case 0:
    case 1:
      return { kind: 'call', call, what: random.pick(callFaults) }
    case 2:
      return { kind: 'stale', call, writes: random.int(1, 5) }
    case 3:
      return { kind: 'event', event: random.int(1, 30), what: random.pick(['drop', 'double', 'delay'] as const) }
    case 4:
      return { kind: 'step', step: Math.round(10 ** (random.next() * 3.5)), what: random.pick(stepFaults) }
    default: {
      const what = random.pick(windowFaults)
      return { kind: 'window', what, atMs: random.int(0, 30_000), forMs: random.int(500, 25_000), which: random.int(0, 5) }
    }
  }
}

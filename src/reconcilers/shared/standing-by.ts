import type { LeaseAction, LeaseSeen } from './disruption-lease.ts'

export type NotOurs = Exclude<LeaseSeen, { kind: 'ours' }>

/** Short, because a live holder answers a request within milliseconds. */
export const lookAgainForLeaseMs = 1_000

/** The actions that acquire the lease. */
export function stepsTo(lease: NotOurs): readonly LeaseAction[] {
  if (lease.kind === 'free') return [{ kind: 'takeLease', config: lease.config }]
  return lease.ask ? [{ kind: 'askHolder', config: lease.config }] : []
}

export function standingByText(what: string, { holder, config }: Extract<LeaseSeen, { kind: 'held' }>): string {
  return `${what}, but ${holder} holds the lease; do two controllers run with different manifests? docker config inspect ${config.name}`
}

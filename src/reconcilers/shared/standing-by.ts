import type { LeaseAction, LeaseSeen } from './disruption-lease.ts'

export type NotOurs = Exclude<LeaseSeen, { kind: 'ours' }>

/** A holder that answers, or does not, is seen soon. */
export const lookAgainForLeaseMs = 1_000

/** What leads to the lease. */
export function stepsTo(lease: NotOurs): readonly LeaseAction[] {
  if (lease.kind === 'free') return [{ kind: 'takeLease', config: lease.config }]
  return lease.ask ? [{ kind: 'askHolder', config: lease.config }] : []
}

export function standingByText(what: string, { holder, config }: Extract<LeaseSeen, { kind: 'held' }>): string {
  return `${what}, and the lease for that is held by ${holder}; are two controllers at work, with different manifests? docker config inspect ${config.name}`
}

import { labelSchemaVersion, managedBy, objectLabels } from '../../api/labels.ts'
import { disruptionLeaseName } from '../../api/names.ts'
import type { Clock } from '../../ports/clock.ts'
import { rfc3339 } from '../../api/time.ts'
import { PortError } from '../../ports/errors.ts'
import type { Log } from '../../ports/log.ts'
import type { Labels, Swarm, SwarmConfig } from '../../ports/swarm.ts'

/** Whether this controller may stop or restart guests. */
export type LeaseSeen =
  | { readonly kind: 'ours' }
  /** No controller holds it, or the holder did not respond. */
  | { readonly kind: 'free'; readonly config: SwarmConfig | undefined }
  /** `ask`: ask the holder whether it is still alive. */
  | { readonly kind: 'held'; readonly holder: string; readonly config: SwarmConfig; readonly ask: boolean }

export type LeaseAction =
  | { readonly kind: 'takeLease'; readonly config: SwarmConfig | undefined }
  | { readonly kind: 'askHolder'; readonly config: SwarmConfig }

/**
 * The Swarm config `sv-lease-<cluster>` (ADR 0025): only the controller that holds it may stop or restart guests. A controller that wants
 * the lease sets a request label, and a holder that is alive answers with a renewal label. Without requests nothing is written.
 *
 * *Guarantees*: two controllers that read the lease before each such write never both hold it. A dead holder loses it within seconds.
 * *Caveats*: only the object's version stops a write that is already under way when the lease changes hands.
 */
export interface DisruptionLease {
  /** Throws PortError. */
  observe(signal?: AbortSignal): Promise<LeaseSeen>
  /** Throws PortError; Conflict if another controller was faster. */
  apply(action: LeaseAction, signal?: AbortSignal): Promise<void>
  /** Answers another controller's request if this one holds the lease. Throws PortError. */
  answer(signal?: AbortSignal): Promise<void>
  /** Gives the lease up at once. Throws PortError; Unavailable after 3 s without an answer. */
  release(signal?: AbortSignal): Promise<void>
}

export interface LeasePorts {
  readonly swarm: Pick<Swarm, 'createConfig' | 'updateConfigLabels'>
  /** A cached absence is good enough: Docker rejects the creation if the lease exists. */
  readonly recent: Pick<Swarm, 'getConfig'>
  readonly clock: Clock
  readonly log: Log
  readonly cluster: string
  /** Unique to this controller process. */
  readonly id: string
}

/** A live holder receives the request within milliseconds. Measured from when this controller saw the request, so clocks need not agree. */
const silentMs = 6_000
/** The request is repeated, because the holder may have missed its event. */
const repeatMs = 2_000
/** A holder that answered is not asked again within this time. */
const askAgainMs = 20_000
/** Swarm kills a controller 10 s after SIGTERM, and the lease then changes hands anyway. */
const releaseMs = 3_000

export function disruptionLease({ swarm, recent, clock, log, cluster, id }: LeasePorts): DisruptionLease {
  const name = disruptionLeaseName(cluster)
  /** The labels last seen, and since when. */
  let seen = { text: '', sinceMs: clock.elapsed() }
  let askedMs: number | undefined
  let repeatedMs = Number.NEGATIVE_INFINITY
  let answeredMs = Number.NEGATIVE_INFINITY
  let isHeld = false
  let said = ''

  function judge(config: SwarmConfig | undefined): LeaseSeen {
    if (config === undefined) return { kind: 'free', config }
    const { labels } = config
    const [holder, waiting] = [labels[objectLabels.leaseHolder], labels[objectLabels.leaseWaiting]]
    // Never write to a config of this name that is not ours.
    if (labels[objectLabels.managedBy] !== managedBy) return { kind: 'held', holder: `the owner of ${name}`, config, ask: false }
    note(config, waiting)
    if (holder === undefined) return { kind: 'free', config }
    if (holder === id) return { kind: 'ours' }
    const forMs = clock.elapsed() - seen.sinceMs
    if (waiting !== undefined && forMs >= silentMs) return { kind: 'free', config }
    if (waiting !== undefined) return { kind: 'held', holder, config, ask: waiting === id && clock.elapsed() - repeatedMs >= repeatMs }
    return { kind: 'held', holder, config, ask: clock.elapsed() - answeredMs >= askAgainMs }
  }

  function note({ labels }: SwarmConfig, waiting: string | undefined): void {
    const { leaseHolder, leaseRenewedAt, leaseWaiting } = objectLabels
    const text = [leaseHolder, leaseRenewedAt, leaseWaiting].map((key) => labels[key] ?? '').join(' ')
    if (text === seen.text) return
    const sinceMs = (waiting === id ? askedMs : undefined) ?? clock.elapsed()
    if (waiting === undefined && askedMs !== undefined) {
      askedMs = undefined
      answeredMs = clock.elapsed()
    }
    seen = { text, sinceMs }
  }

  function tell(now: LeaseSeen): LeaseSeen {
    isHeld = now.kind === 'ours'
    const text = now.kind === 'held' ? `${now.kind} ${now.holder}` : now.kind
    if (text !== said && now.kind === 'held') log.warn({ holder: now.holder }, 'Standing by: another controller restarts and stops VMs')
    said = text
    return now
  }

  function labelsWith(more: Labels): Labels {
    return {
      [objectLabels.managedBy]: managedBy,
      [objectLabels.schema]: labelSchemaVersion,
      [objectLabels.component]: 'lease',
      [objectLabels.cluster]: cluster,
      ...more,
    }
  }

  const held = (): Labels => labelsWith({ [objectLabels.leaseHolder]: id, [objectLabels.leaseRenewedAt]: rfc3339(clock) })

  const waitingLabels = (labels: Labels): Labels => ({
    ...labels,
    [objectLabels.leaseWaiting]: id,
    [objectLabels.leaseAskedAt]: rfc3339(clock),
  })

  async function write(config: SwarmConfig | undefined, labels: Labels, signal: AbortSignal | undefined): Promise<void> {
    if (config !== undefined) return swarm.updateConfigLabels(config, labels, signal)
    await swarm.createConfig(name, labels, new TextEncoder().encode(`${JSON.stringify({ version: 1, cluster })}\n`), signal)
  }

  async function giveUp(signal: AbortSignal): Promise<void> {
    const config = await recent.getConfig(name, signal)
    if (config?.labels[objectLabels.leaseHolder] === id) await write(config, labelsWith({}), signal)
    isHeld = false
  }

  return {
    observe: async (signal) => tell(judge(await recent.getConfig(name, signal))),
    async apply(action, signal) {
      if (action.kind === 'askHolder') {
        await write(action.config, waitingLabels(action.config.labels), signal)
        // Count the time from the first request.
        if (action.config.labels[objectLabels.leaseWaiting] !== id) askedMs = clock.elapsed()
        repeatedMs = clock.elapsed()
        return
      }
      await write(action.config, held(), signal)
      isHeld = true
      log.info({ lease: name }, 'Took the lease for stopping and restarting VMs')
    },
    async answer(signal) {
      if (!isHeld) return
      const config = await recent.getConfig(name, signal)
      isHeld = config?.labels[objectLabels.leaseHolder] === id
      if (config !== undefined && isHeld && config.labels[objectLabels.leaseWaiting] !== undefined) await write(config, held(), signal)
    },
    async release(signal) {
      if (isHeld) await within(clock, releaseMs, giveUp, signal)
    },
  }
}

/** Throws Unavailable if Docker has not answered by then, so that a shutdown never hangs. */
async function within(
  clock: Clock,
  ms: number,
  work: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const over = new AbortController()
  const late = Promise.withResolvers<never>()
  const cancel = clock.after(ms, () => {
    const error = new PortError('Unavailable', `Docker did not answer within ${ms / 1000} s`)
    over.abort(error)
    late.reject(error)
  })
  try {
    await Promise.race([work(signal === undefined ? over.signal : AbortSignal.any([over.signal, signal])), late.promise])
  } finally {
    cancel()
  }
}

/** Short, because a live holder answers a request within milliseconds. */
export const leaseRequeueAfterMs = 1_000

/** The actions that acquire the lease. */
export function stepsTo(lease: Exclude<LeaseSeen, { kind: 'ours' }>): readonly LeaseAction[] {
  if (lease.kind === 'free') return [{ kind: 'takeLease', config: lease.config }]
  return lease.ask ? [{ kind: 'askHolder', config: lease.config }] : []
}

export function standingByText(what: string, { holder, config }: Extract<LeaseSeen, { kind: 'held' }>): string {
  return `${what}, but ${holder} holds the lease; do two controllers run with different manifests? docker config inspect ${config.name}`
}

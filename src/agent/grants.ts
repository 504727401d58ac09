import { canonicalJson } from '../api/hash.ts'
import type { Layout } from '../api/layout.ts'
import { type VmUid, uidPattern } from '../api/names.ts'
import type { BrokerResponse } from '../api/wire/broker-admin.ts'
import { type Grant, grant as grantSchema } from '../api/wire/common.ts'
import { messageOf, PortError } from '../ports/errors.ts'
import { type Clock, sleep } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import { StateError, type StateFiles } from '../ports/state-files.ts'
import { BrokerRefusal, type BrokerLink } from './broker-link.ts'
import { keyedLock } from './keyed-lock.ts'

const maxGrantBytes = 16 * 1024
const brokerTimeoutMs = 5_000
/** Between two attempts to renew what the broker did not answer to. */
const renewAgainMs = { first: 1_000, most: 60_000 }

type GrantOutcome =
  /** The broker has it, or had it before it went away and gets it again when it is back. */
  | { readonly kind: 'granted' }
  | { readonly kind: 'waiting'; readonly message: string }
  | { readonly kind: 'refused'; readonly reason: string; readonly message: string }

/**
 * What each VM of this node may have: a file per VM is the truth, and the broker, which forgets everything when it ends, is told again
 * whenever it comes back, with no controller needed.
 */
export interface Grants {
  /** Throws StateError, `Content` where the file is no grant. */
  read(uid: VmUid): Promise<Grant | undefined>
  /** As `read`, and undefined too where the file cannot be understood: the next grant replaces it. Throws StateError where it cannot be read. */
  readClear(uid: VmUid): Promise<Grant | undefined>
  /** Every granted uid, whether or not its file can be understood. Throws StateError. */
  uids(): Promise<readonly VmUid[]>
  /** Throws StateError. */
  put(grant: Grant): Promise<GrantOutcome>
  /** Forgets it here first, so that it stays forgotten. Throws StateError, or PortError `Unavailable` when the broker has still to hear of it. */
  revoke(uid: VmUid): Promise<void>
  /**
   * Tells a broker that has just said hello everything, and takes back what has no file. What it does not answer to is asked again until it does,
   * or the connection is another one. Never rejects.
   */
  renew(signal: AbortSignal): Promise<void>
}

export function grants(options: {
  readonly layout: Layout
  readonly files: StateFiles
  readonly broker: BrokerLink
  readonly clock: Clock
  readonly log: Log
}): Grants {
  const { layout, files, broker, clock, log } = options
  /** By uid, what the broker of `bootId` said to which grant. */
  const answers = new Map<VmUid, { bootId: string; text: string; outcome: GrantOutcome }>()
  // An order may come while all grants are renewed: file and broker change together, or the older of the two would win at the broker.
  const oneAtATime = keyedLock()

  async function read(uid: VmUid): Promise<Grant | undefined> {
    const text = await files.readText(layout.grantFile(uid), maxGrantBytes)
    if (text === undefined) return undefined
    const parsed = grantSchema.safeParse(parseJson(text))
    if (!parsed.success || parsed.data.uid !== uid)
      throw new StateError('Content', `${layout.grantFile(uid)} cannot be understood; the next order of the controller writes it anew`)
    return parsed.data
  }

  async function readClear(uid: VmUid): Promise<Grant | undefined> {
    try {
      return await read(uid)
    } catch (error) {
      if (error instanceof StateError && error.kind === 'Content') return undefined
      throw error
    }
  }

  async function uids(): Promise<readonly VmUid[]> {
    const names = await files.list(layout.grants)
    if (names === undefined) throw new StateError('Io', `${layout.grants} is missing; run install-node on this node`)
    return names
      .filter((name) => name.endsWith('.json'))
      .map((name) => name.slice(0, -'.json'.length))
      .filter((name) => uidPattern.test(name))
  }

  async function tell(grant: Grant): Promise<GrantOutcome> {
    const bootId = broker.hello()?.bootId
    const text = canonicalJson(grant)
    const before = answers.get(grant.uid)
    if (before && before.bootId === bootId && before.text === text) return before.outcome
    try {
      await broker.ask({ type: 'grant', grant }, 'ok', brokerTimeoutMs)
      return remember(grant.uid, bootId, text, { kind: 'granted' })
    } catch (error) {
      if (error instanceof BrokerRefusal)
        return remember(grant.uid, undefined, text, { kind: 'refused', reason: error.reason, message: error.message })
      if (error instanceof PortError) return { kind: 'waiting', message: error.message }
      throw error
    }
  }

  function remember(uid: VmUid, bootId: string | undefined, text: string, outcome: GrantOutcome): GrantOutcome {
    // A refusal is asked for again each time: an operator may have widened the broker's limits.
    answers.set(uid, { bootId: bootId ?? '', text, outcome })
    return outcome
  }

  async function put(grant: Grant): Promise<GrantOutcome> {
    const text = canonicalJson(grant)
    const held = await readClear(grant.uid)
    if (held !== undefined && canonicalJson(held) === text) return putAgain(grant, text)
    const outcome = await tell(grant)
    // A grant that works is only replaced by one that the broker has accepted. The first one waits for the broker in its file.
    const isFirst = held === undefined && outcome.kind === 'waiting'
    if (outcome.kind === 'granted' || isFirst) await files.writeAtomically(layout.grantFile(grant.uid), `${text}\n`, 0o640)
    return outcome
  }

  async function putAgain(grant: Grant, text: string): Promise<GrantOutcome> {
    const last = answers.get(grant.uid)
    const outcome = await tell(grant)
    if (outcome.kind !== 'waiting') return outcome
    return last?.text === text && last.outcome.kind === 'refused' ? last.outcome : { kind: 'granted' }
  }

  async function revoke(uid: VmUid): Promise<void> {
    answers.delete(uid)
    await files.remove(layout.grantFile(uid))
    await broker.ask({ type: 'revoke', uid }, 'ok', brokerTimeoutMs)
  }

  /** How many grants the broker still has to hear of. */
  async function renewAll(): Promise<number> {
    const granted = await uids()
    let waiting = 0
    for (const uid of granted) if ((await oneAtATime(uid, () => renewOne(uid))) === 'waiting') waiting += 1
    for (let after: VmUid | null = null; ; ) {
      const page = await leasesAfter(after)
      for (const lease of page.leases) if (lease.granted) await oneAtATime(lease.uid, () => takeBackWithoutFile(lease.uid))
      if (page.next === null || page.next === undefined) break
      after = page.next
    }
    log.info({ grants: granted.length, waiting }, 'Renewed grants')
    return waiting
  }

  async function renewOnce(): Promise<'done' | 'again'> {
    try {
      return (await renewAll()) === 0 ? 'done' : 'again'
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'Grants could not be renewed; trying again')
      return 'again'
    }
  }

  function leasesAfter(after: VmUid | null): Promise<Extract<BrokerResponse, { type: 'leases' }>> {
    return broker.ask({ type: 'leases', after }, 'leases', brokerTimeoutMs)
  }

  /** Looks for the file now: it may have come after all of them were listed. */
  async function takeBackWithoutFile(uid: VmUid): Promise<void> {
    if ((await files.stat(layout.grantFile(uid))) === undefined) await broker.ask({ type: 'revoke', uid }, 'ok', brokerTimeoutMs)
  }

  async function renewOne(uid: VmUid): Promise<'told' | 'waiting'> {
    try {
      const grant = await read(uid)
      const outcome = grant && (await tell(grant))
      if (outcome?.kind === 'refused') log.warn({ uid, reason: outcome.reason, detail: outcome.message }, 'The broker refused a grant')
      return outcome?.kind === 'waiting' ? 'waiting' : 'told'
    } catch (error) {
      // A file that the disk did not give this time may hold a grant.
      if (!(error instanceof StateError)) throw error
      log.error({ uid, error: error.message }, 'A grant could not be read')
      return error.kind === 'Content' ? 'told' : 'waiting'
    }
  }

  return {
    read,
    readClear,
    uids,
    put: (grant) => oneAtATime(grant.uid, () => put(grant)),
    revoke: (uid) => oneAtATime(uid, () => revoke(uid)),
    async renew(signal) {
      answers.clear()
      // Each connection has a hello of its own, and renews by itself.
      const hello = broker.hello()
      for (let waitMs = renewAgainMs.first; (await renewOnce()) === 'again'; waitMs = Math.min(2 * waitMs, renewAgainMs.most)) {
        await sleep(clock, waitMs, signal).catch(() => undefined)
        if (signal.aborted || broker.hello() !== hello) return
      }
    },
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

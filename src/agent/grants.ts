import { canonicalJson } from '../api/hash.ts'
import type { Layout } from '../api/layout.ts'
import { type VmUid, isUid } from '../api/names.ts'
import type { BrokerResponse } from '../api/wire/broker-admin.ts'
import { type Grant, grant as grantSchema } from '../api/wire/common.ts'
import { PortError } from '../ports/errors.ts'
import { messageOf } from '../api/error-message.ts'
import type { Clock } from '../ports/clock.ts'
import { sleep } from '../api/time.ts'
import type { Log } from '../ports/log.ts'
import { StateError, type StateFiles } from '../ports/state-files.ts'
import { BrokerRefusal, type BrokerLink } from './broker-link.ts'
import { keyedLock } from './keyed-lock.ts'

const maxGrantBytes = 16 * 1024
const brokerTimeoutMs = 5_000
/** Retry delays for grants that the broker has not answered. */
const renewAgainMs = { first: 1_000, most: 60_000 }

type GrantOutcome =
  /** The broker has the grant. A disconnected broker that had it gets it again when it is back. */
  | { readonly kind: 'granted' }
  | { readonly kind: 'waiting'; readonly message: string }
  | { readonly kind: 'refused'; readonly reason: string; readonly message: string }

/**
 * The grants of this node's VMs. The file of each VM is the source of truth. The broker keeps grants only in memory, so the agent sends them again on
 * each connection, without a controller.
 */
export interface Grants {
  /** Throws StateError, with kind `Content` if the file is invalid. */
  read(uid: VmUid): Promise<Grant | undefined>
  /** Like `read`, but returns undefined for an invalid file, since the next grant replaces it. Throws StateError if it cannot be read. */
  readClear(uid: VmUid): Promise<Grant | undefined>
  /** The UIDs of all grant files, valid or not. Throws StateError. */
  uids(): Promise<readonly VmUid[]>
  /** Throws StateError. */
  put(grant: Grant): Promise<GrantOutcome>
  /**
   * Removes the file first, so that the grant cannot come back. Throws StateError, or PortError `Unavailable` if the broker still has to be informed.
   */
  revoke(uid: VmUid): Promise<void>
  /**
   * Sends all grants to a broker that has just connected, and revokes grants without a file. Retries what the broker does not answer, until it
   * succeeds or the connection changes. Never rejects.
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
  /** By UID: the broker's answer to this grant, and the boot ID of that broker. */
  const answers = new Map<VmUid, { bootId: string; text: string; outcome: GrantOutcome }>()
  // An order may arrive during a renewal. File and broker must change together, or the older grant could reach the broker last.
  const oneAtATime = keyedLock()

  async function read(uid: VmUid): Promise<Grant | undefined> {
    const text = await files.readText(layout.grantFile(uid), maxGrantBytes)
    if (text === undefined) return undefined
    const parsed = grantSchema.safeParse(parseJson(text))
    if (!parsed.success || parsed.data.uid !== uid)
      throw new StateError('Content', `${layout.grantFile(uid)} is invalid; the controller's next order replaces it`)
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
      .filter(isUid)
  }

  async function sendToBroker(grant: Grant): Promise<GrantOutcome> {
    const bootId = broker.hello()?.bootId
    const text = canonicalJson(grant)
    const cached = answers.get(grant.uid)
    if (cached && cached.bootId === bootId && cached.text === text) return cached.outcome
    try {
      await broker.ask({ type: 'grant', grant }, 'ok', brokerTimeoutMs)
      return cacheAnswer(grant.uid, bootId, text, { kind: 'granted' })
    } catch (error) {
      if (error instanceof BrokerRefusal)
        return cacheAnswer(grant.uid, undefined, text, { kind: 'refused', reason: error.reason, message: error.message })
      if (error instanceof PortError) return { kind: 'waiting', message: error.message }
      throw error
    }
  }

  function cacheAnswer(uid: VmUid, bootId: string | undefined, text: string, outcome: GrantOutcome): GrantOutcome {
    // A refusal is not cached, since an operator may have extended the broker's limits.
    answers.set(uid, { bootId: bootId ?? '', text, outcome })
    return outcome
  }

  async function put(grant: Grant): Promise<GrantOutcome> {
    const text = canonicalJson(grant)
    const stored = await readClear(grant.uid)
    if (stored !== undefined && canonicalJson(stored) === text) return putAgain(grant, text)
    const outcome = await sendToBroker(grant)
    // Only a grant that the broker has accepted replaces a working one. A first grant is stored while it waits for the broker.
    const isFirst = stored === undefined && outcome.kind === 'waiting'
    if (outcome.kind === 'granted' || isFirst) await files.writeAtomically(layout.grantFile(grant.uid), `${text}\n`, 0o640)
    return outcome
  }

  async function putAgain(grant: Grant, text: string): Promise<GrantOutcome> {
    const last = answers.get(grant.uid)
    const outcome = await sendToBroker(grant)
    if (outcome.kind !== 'waiting') return outcome
    return last?.text === text && last.outcome.kind === 'refused' ? last.outcome : { kind: 'granted' }
  }

  async function revoke(uid: VmUid): Promise<void> {
    answers.delete(uid)
    await files.remove(layout.grantFile(uid))
    await broker.ask({ type: 'revoke', uid }, 'ok', brokerTimeoutMs)
  }

  /** Returns the number of grants that the broker has not answered. */
  async function renewAll(): Promise<number> {
    const granted = await uids()
    let waiting = 0
    for (const uid of granted) if ((await oneAtATime(uid, () => renewOne(uid))) === 'waiting') waiting += 1
    for (let after: VmUid | null = null; ; ) {
      const page = await leasesAfter(after)
      for (const lease of page.leases) if (lease.granted) await oneAtATime(lease.uid, () => revokeWithoutFile(lease.uid))
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
      log.warn({ error: messageOf(error) }, 'Cannot renew the grants; retrying')
      return 'again'
    }
  }

  function leasesAfter(after: VmUid | null): Promise<Extract<BrokerResponse, { type: 'leases' }>> {
    return broker.ask({ type: 'leases', after }, 'leases', brokerTimeoutMs)
  }

  /** Checks the file again: it may have been written after the files were listed. */
  async function revokeWithoutFile(uid: VmUid): Promise<void> {
    if ((await files.stat(layout.grantFile(uid))) === undefined) await broker.ask({ type: 'revoke', uid }, 'ok', brokerTimeoutMs)
  }

  async function renewOne(uid: VmUid): Promise<'answered' | 'waiting'> {
    try {
      const grant = await read(uid)
      const outcome = grant && (await sendToBroker(grant))
      if (outcome?.kind === 'refused') log.warn({ uid, reason: outcome.reason, detail: outcome.message }, 'The broker refused a grant')
      return outcome?.kind === 'waiting' ? 'waiting' : 'answered'
    } catch (error) {
      // A file that cannot be read now may still hold a grant.
      if (!(error instanceof StateError)) throw error
      log.error({ uid, error: error.message }, 'Cannot read a grant')
      return error.kind === 'Content' ? 'answered' : 'waiting'
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
      // Each connection has its own hello and starts its own renewal.
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

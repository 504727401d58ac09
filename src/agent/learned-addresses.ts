import type { Layout } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import type { Sighting } from '../api/wire/broker-admin.ts'
import { type AddressesFile, addressesFile } from '../api/wire/addresses.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { StateFiles } from '../ports/state-files.ts'

type LearnedAddress = AddressesFile['heard'][number]

const maxFileBytes = 16 * 1024
const maxAddresses = 64
/** Limits how often the file is written for an address that is seen again. */
const rewriteAfterMs = 600_000

/**
 * Keeps sightings across restarts of the broker: it stores the broker's sightings in a file, and returns stored ones if the broker has none and they
 * are not older than the guest's runner. Never rejects: without the file, an address is only learned later.
 */
export function learnedAddresses(options: {
  readonly layout: Layout
  readonly files: Pick<StateFiles, 'readText' | 'writeAtomically'>
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
}): { merge(uid: VmUid, sightings: readonly Sighting[], runnerStartedAt: string | undefined): Promise<Sighting[]> } {
  const { layout, files, clock, log } = options

  async function read(uid: VmUid): Promise<readonly LearnedAddress[]> {
    const text = await files.readText(layout.addressesFile(uid), maxFileBytes)
    if (text === undefined) return []
    try {
      return addressesFile.parse(JSON.parse(text)).heard
    } catch (error) {
      log.warn({ uid, error: (error as Error).message }, 'Cannot read the learned addresses; starting with an empty list')
      return []
    }
  }

  async function write(uid: VmUid, addresses: readonly LearnedAddress[]): Promise<void> {
    await files.writeAtomically(
      layout.addressesFile(uid),
      `${JSON.stringify({ version: 1, heard: addresses.slice(0, maxAddresses) })}\n`,
      0o640,
    )
  }

  return {
    async merge(uid, sightings, runnerStartedAt) {
      try {
        const nowMs = clock.now()
        const stored = await read(uid)
        const now = sightings.map((one) => learnedNow(one, nowMs))
        if (mustWrite(stored, now, runnerStartedAt)) await write(uid, [...now, ...storedOnly(stored, sightings, undefined)])
        return [...sightings, ...storedOnly(stored, sightings, runnerStartedAt ?? '').map((one) => sightingOf(one, nowMs))]
      } catch (error) {
        log.warn({ uid, error: (error as Error).message }, 'Cannot store the learned addresses')
        return [...sightings]
      }
    },
  }
}

function learnedNow({ mac, ip, via, interface: name, ageMs }: Sighting, nowMs: number): LearnedAddress {
  return { mac, ip, via, interface: name, at: new Date(nowMs - ageMs).toISOString() }
}

function sightingOf({ at, ...address }: LearnedAddress, nowMs: number): Sighting {
  return { ...address, ageMs: Math.max(0, Math.round(nowMs - Date.parse(at))) }
}

/** Stored addresses of MACs without a current sighting, learned since `startedAt` if it is given. */
function storedOnly(
  stored: readonly LearnedAddress[],
  sightings: readonly Sighting[],
  startedAt: string | undefined,
): readonly LearnedAddress[] {
  const sighted = new Set(sightings.map((one) => one.mac))
  // An unknown start ('') is NaN, so no stored address matches.
  const sinceMs = startedAt === undefined ? Number.NEGATIVE_INFINITY : Date.parse(startedAt)
  return stored.filter((one) => !sighted.has(one.mac) && Date.parse(one.at) >= sinceMs)
}

/** An address stored before this runner started is not returned for it, so its first new sighting is stored again. */
function mustWrite(stored: readonly LearnedAddress[], now: readonly LearnedAddress[], runnerStartedAt = ''): boolean {
  const startedMs = Date.parse(runnerStartedAt)
  return now.some((one) => {
    const before = stored.find((other) => other.mac === one.mac && other.ip === one.ip && other.via === one.via)
    if (before === undefined) return true
    const [beforeMs, nowMs] = [Date.parse(before.at), Date.parse(one.at)]
    return nowMs - beforeMs > rewriteAfterMs || (beforeMs < startedMs && nowMs >= startedMs)
  })
}

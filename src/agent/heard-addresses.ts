import type { Layout } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import type { Sighting } from '../api/wire/broker-admin.ts'
import { type HeardAddresses, heardAddresses } from '../api/wire/heard.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { StateFiles } from '../ports/state-files.ts'

type Heard = HeardAddresses['heard'][number]

const maxFileBytes = 16 * 1024
const maxHeard = 64
/** An address that is heard again and again is not written again and again. */
const rewriteAfterMs = 600_000

/**
 * Sightings that outlive the broker's memory: what it heard is kept in a file, and what it forgot is given back for as long as the runner that the
 * guest spoke through has lived. Never rejects: without the file a guest is only heard later.
 */
export function heardAddressBook(options: {
  readonly layout: Layout
  readonly files: Pick<StateFiles, 'readText' | 'writeAtomically'>
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
}): { merge(uid: VmUid, sightings: readonly Sighting[], runnerStartedAt: string | undefined): Promise<Sighting[]> } {
  const { layout, files, clock, log } = options

  async function read(uid: VmUid): Promise<readonly Heard[]> {
    const text = await files.readText(layout.addressesFile(uid), maxFileBytes)
    if (text === undefined) return []
    try {
      return heardAddresses.parse(JSON.parse(text)).heard
    } catch (error) {
      log.warn({ uid, error: (error as Error).message }, 'Heard addresses could not be read; they are written anew')
      return []
    }
  }

  async function write(uid: VmUid, heard: readonly Heard[]): Promise<void> {
    await files.writeAtomically(layout.addressesFile(uid), `${JSON.stringify({ version: 1, heard: heard.slice(0, maxHeard) })}\n`, 0o640)
  }

  return {
    async merge(uid, sightings, runnerStartedAt) {
      try {
        const nowMs = clock.now()
        const held = await read(uid)
        const now = sightings.map((one) => heardNow(one, nowMs))
        if (worthWriting(held, now, runnerStartedAt)) await write(uid, [...now, ...remembered(held, sightings, undefined)])
        return [...sightings, ...remembered(held, sightings, runnerStartedAt ?? '').map((one) => sightingOf(one, nowMs))]
      } catch (error) {
        log.warn({ uid, error: (error as Error).message }, 'Heard addresses could not be kept')
        return [...sightings]
      }
    },
  }
}

function heardNow({ mac, ip, via, interface: name, ageMs }: Sighting, nowMs: number): Heard {
  return { mac, ip, via, interface: name, at: new Date(nowMs - ageMs).toISOString() }
}

function sightingOf({ at, ...heard }: Heard, nowMs: number): Sighting {
  return { ...heard, ageMs: Math.max(0, Math.round(nowMs - Date.parse(at))) }
}

/** Of MACs that the broker says nothing about now; heard since `startedAt`, where one is given and known. */
function remembered(held: readonly Heard[], sightings: readonly Sighting[], startedAt: string | undefined): readonly Heard[] {
  const spoken = new Set(sightings.map((one) => one.mac))
  // An unknown start ('') compares false with everything: nothing is remembered then.
  const sinceMs = startedAt === undefined ? Number.NEGATIVE_INFINITY : Date.parse(startedAt)
  return held.filter((one) => !spoken.has(one.mac) && Date.parse(one.at) >= sinceMs)
}

/** What was heard before this runner started is not given back for it: the first time it is heard again counts. */
function worthWriting(held: readonly Heard[], now: readonly Heard[], runnerStartedAt = ''): boolean {
  const startedMs = Date.parse(runnerStartedAt)
  return now.some((one) => {
    const before = held.find((other) => other.mac === one.mac && other.ip === one.ip && other.via === one.via)
    if (before === undefined) return true
    const [beforeMs, nowMs] = [Date.parse(before.at), Date.parse(one.at)]
    return nowMs - beforeMs > rewriteAfterMs || (beforeMs < startedMs && nowMs >= startedMs)
  })
}

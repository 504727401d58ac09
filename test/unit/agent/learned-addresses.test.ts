import { describe, expect, it } from 'vitest'
import { learnedAddresses } from '../../../src/agent/learned-addresses.ts'
import { layout } from '../../../src/api/layout.ts'
import type { Sighting } from '../../../src/api/wire/broker-admin.ts'
import { aMac, aUid } from '../../support/branded.ts'

const uid = aUid('6f1b3a52-3c1d-4a89-9a53-0f6f4f1f9c11')
const startedAt = '2026-01-01T00:00:00.000Z'
const hour = 3_600_000
const seen: Sighting = { mac: aMac('52:54:00:00:00:01'), ip: '192.168.50.42', via: 'dhcp', interface: 'sv0123456789ab', ageMs: 1000 }

function book() {
  const files = new Map<string, string>()
  let writes = 0
  let nowMs = Date.parse(startedAt) + 10_000
  const silent = (): void => undefined
  const addresses = learnedAddresses({
    layout: layout('/state'),
    files: {
      readText: async (path) => files.get(path),
      writeAtomically: async (path, text) => {
        writes += 1
        files.set(path, text)
      },
    },
    clock: { now: () => nowMs },
    log: { debug: silent, info: silent, warn: silent, error: silent },
  })
  return { addresses, files, writes: () => writes, later: (ms: number) => (nowMs += ms) }
}

describe('learned addresses', () => {
  it('come back, older, when a new broker has learned nothing yet', async () => {
    const { addresses, later } = book()
    await addresses.merge(uid, [seen], startedAt)
    later(hour)
    expect(await addresses.merge(uid, [], startedAt)).toEqual([{ ...seen, ageMs: hour + 1000 }])
  })

  it('are not those of an earlier run of the guest, nor of one nobody knows', async () => {
    const { addresses } = book()
    await addresses.merge(uid, [seen], startedAt)
    expect(await addresses.merge(uid, [], '2026-01-01T00:01:00.000Z')).toEqual([])
    expect(await addresses.merge(uid, [], undefined)).toEqual([])
  })

  it('are replaced by addresses that the broker sees now', async () => {
    const { addresses } = book()
    await addresses.merge(uid, [seen], startedAt)
    const moved = { ...seen, ip: '192.168.50.43' }
    expect(await addresses.merge(uid, [moved], startedAt)).toEqual([moved])
    expect(await addresses.merge(uid, [], startedAt)).toMatchObject([{ ip: '192.168.50.43' }])
  })

  it('are written when they change and not at every look', async () => {
    const { addresses, writes, later } = book()
    for (let looks = 0; looks < 20; looks += 1) {
      await addresses.merge(uid, [seen], startedAt)
      later(10_000)
    }
    expect(writes()).toBe(1)
    later(hour)
    await addresses.merge(uid, [seen], startedAt)
    expect(writes()).toBe(2)
  })

  it('are written again when a new runner is seen, so that its broker may restart', async () => {
    const { addresses, later } = book()
    await addresses.merge(uid, [seen], startedAt)
    later(60_000)
    const restartedAt = '2026-01-01T00:01:00.000Z'
    await addresses.merge(uid, [seen], restartedAt)
    expect(await addresses.merge(uid, [], restartedAt)).toEqual([seen])
  })

  it('are only learned later if the file is invalid', async () => {
    const { addresses, files } = book()
    files.set(layout('/state').addressesFile(uid), '{"version": 9')
    expect(await addresses.merge(uid, [], startedAt)).toEqual([])
    expect(await addresses.merge(uid, [seen], startedAt)).toEqual([seen])
    expect(await addresses.merge(uid, [], startedAt)).toMatchObject([{ ip: seen.ip }])
  })
})

import { describe, expect, it } from 'vitest'
import { heardAddressBook } from '../../../src/agent/heard-addresses.ts'
import { layout } from '../../../src/api/layout.ts'
import type { Sighting } from '../../../src/api/wire/broker-admin.ts'

const uid = '6f1b3a52-3c1d-4a89-9a53-0f6f4f1f9c11'
const startedAt = '2026-01-01T00:00:00.000Z'
const hour = 3_600_000
const seen: Sighting = { mac: '52:54:00:00:00:01', ip: '192.168.50.42', via: 'dhcp', interface: 'sv0123456789ab', ageMs: 1000 }

function book() {
  const files = new Map<string, string>()
  let writes = 0
  let nowMs = Date.parse(startedAt) + 10_000
  const silent = (): void => undefined
  const heard = heardAddressBook({
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
  return { heard, files, writes: () => writes, later: (ms: number) => (nowMs += ms) }
}

describe('addresses that were heard', () => {
  it('come back, older, when a new broker has heard nothing yet', async () => {
    const { heard, later } = book()
    await heard.merge(uid, [seen], startedAt)
    later(hour)
    expect(await heard.merge(uid, [], startedAt)).toEqual([{ ...seen, ageMs: hour + 1000 }])
  })

  it('are not those of an earlier run of the guest, nor of one nobody knows', async () => {
    const { heard } = book()
    await heard.merge(uid, [seen], startedAt)
    expect(await heard.merge(uid, [], '2026-01-01T00:01:00.000Z')).toEqual([])
    expect(await heard.merge(uid, [], undefined)).toEqual([])
  })

  it('give way to what the broker hears now', async () => {
    const { heard } = book()
    await heard.merge(uid, [seen], startedAt)
    const moved = { ...seen, ip: '192.168.50.43' }
    expect(await heard.merge(uid, [moved], startedAt)).toEqual([moved])
    expect(await heard.merge(uid, [], startedAt)).toMatchObject([{ ip: '192.168.50.43' }])
  })

  it('are written when they change and not at every look', async () => {
    const { heard, writes, later } = book()
    for (let looks = 0; looks < 20; looks += 1) {
      await heard.merge(uid, [seen], startedAt)
      later(10_000)
    }
    expect(writes()).toBe(1)
    later(hour)
    await heard.merge(uid, [seen], startedAt)
    expect(writes()).toBe(2)
  })

  it('are written again when a new runner is heard, whose broker may then be restarted', async () => {
    const { heard, later } = book()
    await heard.merge(uid, [seen], startedAt)
    later(60_000)
    const restartedAt = '2026-01-01T00:01:00.000Z'
    await heard.merge(uid, [seen], restartedAt)
    expect(await heard.merge(uid, [], restartedAt)).toEqual([seen])
  })

  it('are only heard later where the file is broken', async () => {
    const { heard, files } = book()
    files.set(layout('/state').addressesFile(uid), '{"version": 9')
    expect(await heard.merge(uid, [], startedAt)).toEqual([])
    expect(await heard.merge(uid, [seen], startedAt)).toEqual([seen])
    expect(await heard.merge(uid, [], startedAt)).toMatchObject([{ ip: seen.ip }])
  })
})

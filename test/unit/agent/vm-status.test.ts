import { expect, test } from 'vitest'
import { readVmStatus, type VmStatusOptions } from '../../../src/agent/vm-status.ts'
import type { RunnerStatus } from '../../../src/api/wire/runner-control.ts'
import { aUid } from '../../support/branded.ts'
import type { VmUid } from '../../../src/api/names.ts'

const uid = aUid('11111111-1111-4111-8111-111111111111')
const startedAt = '2026-01-01T00:00:00.000Z'
const bootedAt = '2026-01-01T00:02:00.000Z'

/** From when on addresses that the broker forgot are given back, for a runner that says this. */
async function addressesSince(said: Partial<RunnerStatus>): Promise<string | undefined> {
  let since: string | undefined
  const options = {
    grants: { read: async () => ({ nics: [] }) },
    broker: { ask: async (_question: unknown, type: string) => (type === 'leases' ? { leases: [] } : { sightings: [] }) },
    runners: { status: async () => ({ uid, startedAt, ...said }) },
    addresses: {
      merge: async (_uid: VmUid, _sightings: unknown, from: string | undefined) => {
        since = from
        return []
      },
    },
  } as unknown as VmStatusOptions
  await readVmStatus(options, uid, new AbortController().signal)
  return since
}

test('An address from before the boot is not reported, because a previous guest may have had it while the runner waited', async () => {
  expect(await addressesSince({ container: 'aaaaaaaaaaaa', bootedAt })).toBe(bootedAt)
  expect(await addressesSince({ container: 'aaaaaaaaaaaa' })).toBeUndefined()
  expect(await addressesSince({})).toBe(startedAt)
})

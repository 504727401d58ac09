import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { objectLabels } from '../../src/api/labels.ts'
import { layout } from '../../src/api/layout.ts'
import { deterministicMac } from '../../src/api/mac.ts'
import { contentName, tapName } from '../../src/api/names.ts'
import { prepareOrder } from '../../src/api/wire/agent-api.ts'
import { brokerToRunner, runnerToBroker } from '../../src/api/wire/broker-runner.ts'
import { grant } from '../../src/api/wire/common.ts'
import { addressesFile } from '../../src/api/wire/addresses.ts'
import { withSlots } from '../../src/api/disk-slots.ts'
import { identity, identityText } from '../../src/api/wire/identity.ts'
import { launchConfig } from '../../src/api/wire/launch.ts'
import { aUid, aVmName } from '../support/branded.ts'

/** The files, labels and messages that a release wrote, unchanged. A file here never changes: a new version gets a new directory. */
function recorded(release: string, name: string): unknown {
  return JSON.parse(readFileSync(join(import.meta.dirname, release, name), 'utf8'))
}

describe('what release 0.1 left on disks and wires is still read', () => {
  it.each([
    ['identity.json', identity],
    ['grant.json', grant],
    ['addresses.json', addressesFile],
    ['launch.json', launchConfig],
    ['prepare-order.json', prepareOrder],
  ])('%s', (name, schema) => {
    const value = recorded('0.1', name)
    expect(schema.parse(value)).toEqual(value)
  })

  it.each([
    ['broker-to-runner.json', brokerToRunner],
    ['runner-to-broker.json', runnerToBroker],
  ])('%s', (name, schema) => {
    for (const message of recorded('0.1', name) as unknown[]) expect(schema.parse(message)).toEqual(message)
  })

  it('a newer peer may add fields: they are passed over', () => {
    expect(runnerToBroker.parse({ type: 'acquire', later: true })).toEqual({ type: 'acquire' })
  })
})

describe('launch config', () => {
  const former = recorded('0.1', 'launch.json') as Record<string, unknown>
  const readBy01 = (config: object): boolean => z.object({ version: z.literal(1) }).safeParse(config).success

  it('a runner of release 0.1 rejects one with needs, and this one rejects an unknown need', () => {
    const demanding = { ...former, version: 2, needs: ['cpu'], sockets: 2 }
    expect([readBy01(former), readBy01(demanding)]).toEqual([true, false])
    expect(launchConfig.parse(demanding)).toEqual(demanding)
    expect(launchConfig.safeParse({ ...former, version: 2, needs: ['later'] }).success).toBe(false)
  })
})

it('an agent of release 0.1 rejects an order with firmware', () => {
  const former = recorded('0.1', 'prepare-order.json') as Record<string, unknown>
  const demanding = { ...former, version: 2, firmware: { mode: 'uefi' } }
  expect(prepareOrder.parse(demanding)).toEqual(demanding)
  expect(z.object({ version: z.literal(1) }).safeParse(demanding).success).toBe(false)
})

describe('identity.json', () => {
  const former = identity.parse(recorded('0.1', 'identity.json'))
  const blank = { name: 'data', sizeBytes: 4096, madeAs: '6f1b3a52-3c1d-4a89-9a53-0f6f4f1f9c12', slot: 11 }

  it('the disk of a VM of release 0.1 keeps its PCI slot, also when it gets another disk', () => {
    expect(withSlots(former.disks)).toMatchObject([{ name: 'root', slot: 10 }])
    expect(withSlots([...former.disks, { name: 'data', sizeBytes: 4096 }])).toMatchObject([{ slot: 10 }, { slot: 11 }])
  })

  it('a runner and an agent of release 0.1 read it while the VM has a blank disk', () => {
    const written: unknown = JSON.parse(identityText({ ...former, disks: [...former.disks, blank] }))
    expect(identityOf01.parse(written)).toEqual(recorded('0.1', 'identity.json'))
    expect(identity.parse(written).disks).toEqual([...former.disks, blank])
  })

  it('a VM without blank disks has no key that release 0.1 does not know, except in its disks', () => {
    expect(JSON.parse(identityText(former))).toEqual(recorded('0.1', 'identity.json'))
  })
})

/** The schema of release 0.1, as far as it was strict. */
const identityOf01 = z.object({
  version: z.literal(1),
  uid: z.uuid(),
  vm: z.string(),
  cluster: z.string(),
  machineType: z.string(),
  createdAt: z.string(),
  disks: z.array(
    z.object({ name: z.string(), sizeBytes: z.int(), imageSource: z.string(), imageSha256: z.string().check(z.regex(/^[0-9a-f]{64}$/)) }),
  ),
})

describe('permanent computed values are the same as in release 0.1', () => {
  const uid = aUid('6f1b3a52-3c1d-4a89-9a53-0f6f4f1f9c11')
  it('names, MACs, paths and labels', () => {
    expect({
      mac: deterministicMac('lab', aVmName('web-1'), 'lan'),
      tap: tapName(uid, 'lan'),
      launch: contentName('launch', uid, '{}'),
      control: layout('/var/lib/swarmvirt').controlSocket(uid),
      broker: layout('/var/lib/swarmvirt').brokerSocket(uid),
      disk: layout('/var/lib/swarmvirt').diskFile(uid, 'root'),
      labels: objectLabels,
      // A later release may write labels more, and none of these otherwise.
    }).toMatchObject(recorded('0.1', 'computed.json') as object)
  })
})

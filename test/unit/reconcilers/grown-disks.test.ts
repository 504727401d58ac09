import { expect, test } from 'vitest'
import { placementData, placementLabels, readPlacementRecord } from '../../../src/reconcilers/shared/placement-record.ts'
import { placementRecordName } from '../../../src/api/names.ts'
import { Cluster } from '../../simulation/cluster.ts'
import { aUid, aVmName } from '../../support/branded.ts'

const grown = [{ name: 'root', createdBytes: 2 * 1024 ** 3, sizeBytes: 4 * 1024 ** 3 }]

function recorded(of: typeof grown | [] | undefined) {
  const uid = aUid('00000000-0000-4000-8000-000000000001')
  const fields = {
    cluster: 'lab',
    vm: aVmName('web'),
    uid,
    node: 'n' as never,
    source: 'directory',
    disksMade: true,
    deletes: false,
    grown: of,
  }
  const config = { id: 'c', name: placementRecordName(fields.vm), version: 1, data: placementData(fields), labels: placementLabels(fields) }
  return readPlacementRecord(config as never)?.grown
}

test('the placement record keeps which disks have grown, and drops them when none has', () => {
  expect([recorded(grown), recorded([]), recorded(undefined)]).toEqual([grown, [], undefined])
})

test('an agent of release 0.1, which reports no grown disk, makes no VM forget one', async () => {
  const cluster = new Cluster()
  const sized = (size: string) => cluster.declare('web', { disks: [{ name: 'root', size, image: { source: 'images/tiny.qcow2' } }] })
  sized('4Gi')
  await cluster.converge()
  const label = (): string | undefined => cluster.record('web')?.config.labels['swarmvirt.grown']
  const { config } = cluster.record('web') ?? {}
  if (config === undefined) throw new Error('web has no record')
  const noted = 'root=2147483648-4294967296'
  await cluster.swarm.updateConfigLabels(config, { ...config.labels, 'swarmvirt.grown': noted })
  await cluster.converge()
  expect(label()).toBe(noted)
  sized('2Gi')
  await cluster.converge()
  expect(label()).toBe('')
})

import { expect, test } from 'vitest'
import { whyNoUserNetwork } from '../../../src/broker/host-view.ts'
import { decide, freshLease, hold, join, seatProven, withGrant } from '../../../src/broker/lease.ts'
import { nothingInTheWay } from '../../../src/broker/host-view.ts'
import { UserNetwork } from '../../../src/broker/user-network.ts'
import type { Grant } from '../../../src/api/wire/common.ts'
import { recordingLog } from '../runner-fakes.ts'
import { aMac, aUid, aVmName } from '../../support/branded.ts'

const uid = aUid('00000000-0000-4000-8000-000000000001')
const behindNat: Grant = { version: 1, uid, vm: aVmName('web'), accelerator: 'tcg', nics: [], userNetwork: true }

function aKernel() {
  const kernel = { hasRules: false, applied: 0, fault: '' }
  const network = new UserNetwork(
    {
      interface: 'sv-user',
      isComplete: async () => kernel.hasRules,
      async apply() {
        if (kernel.fault !== '') throw new Error(kernel.fault)
        kernel.hasRules = true
        kernel.applied += 1
      },
    },
    recordingLog(),
  )
  return { kernel, network }
}

test('the rules are created once, also if an earlier broker left some, and again after somebody removed them', async () => {
  const { kernel, network } = aKernel()
  kernel.hasRules = true
  expect(network.fact()).toMatchObject({ state: 'inactive' })
  await network.sweep()
  await network.sweep()
  expect(kernel.applied).toBe(1)
  kernel.hasRules = false
  await network.sweep()
  expect([kernel.applied, network.fact()]).toEqual([2, { interface: 'sv-user', state: 'active', message: '' }])
})

test('a VM behind NAT waits while the kernel refuses the rules, with the reason', async () => {
  const { kernel, network } = aKernel()
  kernel.fault = 'nft: Operation not supported'
  await network.sweep()
  const unfiltered = whyNoUserNetwork(network.fact())
  const lease = join(withGrant(freshLease(uid), behindNat), { connection: 1, proof: [], reclaims: false })
  expect(decide(lease, { ...nothingInTheWay, unfiltered })).toMatchObject({
    kind: 'wait',
    reason: 'UserNetworkUnfiltered',
    message: expect.stringContaining('Operation not supported') as string,
  })
  kernel.fault = ''
  await network.sweep()
  expect(decide(lease, { ...nothingInTheWay, unfiltered: whyNoUserNetwork(network.fact()) })).toMatchObject({ kind: 'grant' })
  expect(whyNoUserNetwork(undefined)).toContain('install-node')
})

const reclaim = { connection: 2, proof: [], reclaims: true }

test('after a restart of the broker, the locked disk proves the holder of a VM without a TAP', () => {
  const running = { ...nothingInTheWay, imageLocked: 'root is locked' }
  const lease = seatProven(join(withGrant(freshLease(uid), behindNat), reclaim))
  expect(decide(lease, running)).toMatchObject({ kind: 'confirm', connection: 2, proof: [] })
  expect(decide(lease, nothingInTheWay)).toMatchObject({ kind: 'refuse', message: expect.stringContaining('no QEMU') as string })
  const next = join(hold(lease, 2), { connection: 3, proof: [], reclaims: false })
  expect(decide(next, running)).toMatchObject({ kind: 'wait', reason: 'WaitingForPrevious' })
})

test('the locked disk also proves the holder of a VM that had a bridge before', () => {
  const lan = { name: 'lan', bridge: 'br0', mac: aMac('52:54:00:00:00:01'), mtu: null }
  const lease = seatProven(join(withGrant(freshLease(uid), { ...behindNat, formerNics: [lan] }), reclaim))
  expect(decide(lease, { ...nothingInTheWay, imageLocked: 'root is locked' })).toMatchObject({ kind: 'confirm', connection: 2 })
  expect(decide(lease, nothingInTheWay)).toMatchObject({ kind: 'refuse' })
})

test('a runner without a TAP never takes the lease of a VM that has one', () => {
  const nic = { name: 'lan', bridge: 'br0', mac: aMac('52:54:00:00:00:01'), mtu: null }
  const lease = seatProven(join(withGrant(freshLease(uid), { ...behindNat, nics: [nic] }), reclaim))
  expect(decide(lease, { ...nothingInTheWay, imageLocked: 'root is locked' })).toMatchObject({ kind: 'refuse', connection: 2 })
})

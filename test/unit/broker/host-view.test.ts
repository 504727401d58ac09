import { expect, test } from 'vitest'
import type { Grant } from '../../../src/api/wire/common.ts'
import { whyNoBridge } from '../../../src/broker/host-view.ts'
import { aMac, aUid, aVmName } from '../../support/branded.ts'

const bridge = { name: 'br0', mtu: 1_500, carrier: true, up: true, address: null }
const network = { bridge: (name: string) => (name === 'br0' ? bridge : undefined) }

function grantOf(changes: Partial<Grant['nics'][number]>): Grant {
  const nic = { name: 'lan', bridge: 'br0', mac: aMac('52:54:00:00:00:01'), mtu: null, ...changes }
  return { version: 1, uid: aUid('11111111-1111-4111-8111-111111111111'), vm: aVmName('web'), accelerator: 'tcg', nics: [nic] }
}

test('a bridge suits a network without an MTU, or with one that it has', () => {
  expect([null, 576, 1_500].map((mtu) => whyNoBridge(network, grantOf({ mtu })))).toEqual([undefined, undefined, undefined])
})

test('a bridge that is missing, or has a smaller MTU than the network, is named', () => {
  expect(whyNoBridge(network, grantOf({ bridge: 'br9', mtu: 1_400 }))).toMatchObject({ reason: 'BridgeMissing' })
  const message = expect.stringContaining('bridge br0 has MTU 1500, and network lan needs 1501') as string
  expect(whyNoBridge(network, grantOf({ mtu: 1_501 }))).toEqual({ reason: 'BridgeMtuTooSmall', message })
})

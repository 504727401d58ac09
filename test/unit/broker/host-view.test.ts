import { expect, test } from 'vitest'
import type { Grant } from '../../../src/api/wire/common.ts'
import { whyNoLink } from '../../../src/broker/host-view.ts'
import { aMac, aUid, aVmName } from '../../support/branded.ts'

const bridge = { name: 'br0', mtu: 1_500, carrier: true, up: true, address: null }
const network = { device: () => undefined, bridge: (name: string) => (name === 'br0' ? bridge : undefined) }

function grantOf(changes: Partial<Grant['nics'][number]>): Grant {
  const nic = { name: 'lan', bridge: 'br0', mac: aMac('52:54:00:00:00:01'), mtu: null, ...changes }
  return { version: 1, uid: aUid('11111111-1111-4111-8111-111111111111'), vm: aVmName('web'), accelerator: 'tcg', nics: [nic] }
}

test('a bridge suits a network without an MTU, or with one that it has', () => {
  expect([null, 576, 1_500].map((mtu) => whyNoLink(network, grantOf({ mtu })))).toEqual([undefined, undefined, undefined])
})

test('a bridge without VLAN filtering is no bridge for a network with a VLAN', () => {
  const { bridge: _bridge, ...rest } = grantOf({}).nics[0] ?? { bridge: '' }
  const grant = {
    ...grantOf({}),
    nics: [{ name: 'lan', mac: aMac('52:54:00:00:00:01'), mtu: null, ...rest, port: { bridge: 'br0', vlan: 20 } }],
  }
  const withFiltering = (vlanFiltering: 'on' | 'off' | 'absent') => ({ ...network, bridge: () => ({ ...bridge, vlanFiltering }) })
  expect(whyNoLink(withFiltering('on'), grant)).toBeUndefined()
  for (const state of ['off', 'absent'] as const)
    expect(whyNoLink(withFiltering(state), grant)).toMatchObject({ reason: 'VlanUnavailable' })
})

test('a bridge that is missing, or has a smaller MTU than the network, is named', () => {
  expect(whyNoLink(network, grantOf({ bridge: 'br9', mtu: 1_400 }))).toMatchObject({ reason: 'BridgeMissing' })
  const message = expect.stringContaining('bridge br0 has MTU 1500, and network lan needs 1501') as string
  expect(whyNoLink(network, grantOf({ mtu: 1_501 }))).toEqual({ reason: 'BridgeMtuTooSmall', message })
})

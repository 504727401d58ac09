import { describe, expect, it, test } from 'vitest'
import * as z from 'zod/mini'
import { attachmentOf, featuresNeeded, grantKeys, parentOf, whyNoVlan, withParent } from '../../src/api/nic-attachment.ts'
import { interfaceField, nicGrant } from '../../src/api/wire/common.ts'
import { aMac } from '../support/branded.ts'

const plain = { kind: 'bridge', bridge: 'br0', vlan: undefined, isolated: false, antiSpoof: 'mac' } as const
const nic = { name: 'lan', mac: aMac('52:54:00:00:00:01'), mtu: null }
/** The schema of release 0.1. */
const formerNic = z.object({ bridge: interfaceField })

describe('the grant of a NIC', () => {
  it('is that of release 0.1 with default settings', () => {
    expect(grantKeys(plain)).toEqual({ bridge: 'br0' })
    expect(attachmentOf({ bridge: 'br0' })).toEqual(plain)
  })

  it.each([
    [{ vlan: 20 }, ['vlan']],
    [{ isolated: true }, ['isolated']],
    [{ antiSpoof: 'off' as const }, ['antiSpoof']],
    [{ vlan: 1, isolated: true, antiSpoof: 'off' as const }, ['vlan', 'isolated', 'antiSpoof']],
  ])('with %j is rejected by a peer of release 0.1, and a peer must advertise %j', (settings, features) => {
    const keys = grantKeys({ ...plain, ...settings })
    const granted = nicGrant.parse({ ...nic, ...keys })
    expect(formerNic.safeParse({ ...nic, ...keys }).success).toBe(false)
    expect(attachmentOf(granted)).toEqual({ ...plain, ...settings })
    expect([...featuresNeeded([{ bridge: 'br0' }, granted])]).toEqual(features)
    expect(attachmentOf(withParent(granted, 'br7'))).toEqual({ ...attachmentOf(granted), bridge: 'br7' })
  })

  it('of a direct NIC is rejected by a peer of release 0.1, and names its device as its parent', () => {
    const keys = grantKeys({ kind: 'direct', device: 'eth1', mode: 'vepa' })
    const granted = nicGrant.parse({ ...nic, ...keys })
    expect(formerNic.safeParse({ ...nic, ...keys }).success).toBe(false)
    expect(parentOf(withParent(granted, 'eth2'))).toBe('eth2')
    expect([...featuresNeeded([granted])]).toEqual(['direct'])
  })

  it.each([
    {},
    { direct: { device: 'eth1', mode: 'passthru' } },
    { bridge: 'br0', direct: { device: 'eth1', mode: 'bridge' } },
    { bridge: 'br0', port: { bridge: 'br0' } },
    { port: { bridge: 'br0', vlan: 4095 } },
  ])('is not %j', (keys) => {
    expect(nicGrant.safeParse({ ...nic, ...keys }).success).toBe(false)
  })
})

test('a VLAN needs a bridge that filters VLANs, and the message says what helps', () => {
  const tagged = { ...nic, port: { bridge: 'br0', vlan: 20 } }
  expect(whyNoVlan({ ...nic, bridge: 'br0' }, 'absent')).toBeUndefined()
  expect(whyNoVlan(tagged, 'on')).toBeUndefined()
  expect(whyNoVlan(tagged, 'off')).toContain('ip link set br0 type bridge vlan_filtering 1')
  expect(whyNoVlan(tagged, 'absent')).toContain('network lan needs VLAN 20 on br0, and the kernel has no VLAN filtering')
  expect(whyNoVlan(tagged, undefined)).toBeDefined()
})

import { expect, test } from 'vitest'
import { vlanAttributes } from '../../../src/adapters/linux/bridge-port.ts'
import { linkAttributes } from '../../../src/adapters/linux/macvtap.ts'
import { createOnly, encodeLink, newLink, setLink, u8 } from '../../../src/adapters/linux/rtnetlink.ts'
import { aMac, aUid } from '../../support/branded.ts'

const hex = (bytes: Buffer): string => bytes.toString('hex')
/** struct nlmsghdr with request and acknowledgement, and struct ifinfomsg of AF_BRIDGE for interface 5. */
const header = (length: string): string => `${length}0000001300050000000000000000000700000005000000${'0'.repeat(16)}`

// The kernel of the tests has no VLAN filtering, so the bytes are compared with those of `bridge vlan add dev TAP vid 20 pvid untagged`.
test('the message that puts a bridge port into a VLAN has the layout of bridge(8)', () => {
  const message = encodeLink({ type: setLink, family: 7, index: 5, attributes: vlanAttributes(20, 6) })
  expect(hex(message)).toBe(`${header('2c')}0c001a800800020006001400`)
})

test('the message that makes a macvtap names device, MAC, MTU and mode as ip-link(8) does', () => {
  const order = { link: 'sm0', uid: aUid('00000000-0000-4000-8000-000000000001'), network: 'wan', tap: 'sv0', device: 'eth1' } as const
  const attributes = linkAttributes({ ...order, mode: 'bridge', mac: aMac('52:54:00:00:00:01'), mtu: 1_500 }, 3)
  const message = hex(encodeLink({ type: newLink, flags: createOnly, family: 0, index: 0, attributes }))
  const kind = '0b0001006d6163767461700000'.slice(0, 22) + '00'
  expect(message).toContain('08000300736d3000')
  expect(message).toContain('0800050003000000')
  expect(message).toContain('0a0001005254000000010000')
  expect(message).toContain('08000400dc050000')
  expect(message).toContain(kind)
  expect(message).toContain('0c0002800800010004000000')
})

test('an attribute is padded to four bytes, and its length is the one without the padding', () => {
  const message = encodeLink({ type: setLink, family: 7, index: 5, attributes: [[12, [[33, u8(1)]]]] })
  expect(hex(message)).toBe(`${header('2c')}0c000c800500210001000000`)
})

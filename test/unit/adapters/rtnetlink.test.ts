import { expect, test } from 'vitest'
import { vlanAttributes } from '../../../src/adapters/linux/bridge-port.ts'
import { encodeLink, setLink, u8 } from '../../../src/adapters/linux/rtnetlink.ts'

const hex = (bytes: Buffer): string => bytes.toString('hex')
/** struct nlmsghdr with request and acknowledgement, and struct ifinfomsg of AF_BRIDGE for interface 5. */
const header = (length: string): string => `${length}0000001300050000000000000000000700000005000000${'0'.repeat(16)}`

// The kernel of the tests has no VLAN filtering, so the bytes are compared with those of `bridge vlan add dev TAP vid 20 pvid untagged`.
test('the message that puts a bridge port into a VLAN has the layout of bridge(8)', () => {
  const message = encodeLink({ type: setLink, family: 7, index: 5, attributes: vlanAttributes(20, 6) })
  expect(hex(message)).toBe(`${header('2c')}0c001a800800020006001400`)
})

test('an attribute is padded to four bytes, and its length is the one without the padding', () => {
  const message = encodeLink({ type: setLink, family: 7, index: 5, attributes: [[12, [[33, u8(1)]]]] })
  expect(hex(message)).toBe(`${header('2c')}0c000c800500210001000000`)
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dhcpRequest } from '../contract/broker/frames.ts'
import { arpProbe, icmpEcho, parseArp, parseDhcpAck, parseDhcpRequest, parseEchoReply } from '../../src/api/packets.ts'

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))

/** An ACK as dnsmasq sends it, cut down to what is read; `options` are hex. */
function dhcpFrame(options: string, ipHeader = '4500 0110 0000 0000 4011 0000 c0a84d01 ffffffff'): Uint8Array {
  const fixed = Buffer.alloc(240)
  fixed.set([2, 1, 6])
  fixed.set([192, 168, 77, 51], 16)
  fixed.set([0x52, 0x54, 0, 1, 2, 3], 28)
  fixed.set([0x63, 0x82, 0x53, 0x63], 236)
  const tail = bytes(options)
  const udp = Buffer.from([0, 67, 0, 68, (8 + 240 + tail.length) >> 8, (8 + 240 + tail.length) & 0xff, 0, 0])
  return Uint8Array.from(Buffer.concat([bytes('ffffffffffff 525400aabbcc 0800'), bytes(ipHeader), udp, fixed, tail]))
}

describe('packets', () => {
  it('reads the owner of an address from ARP', () => {
    expect(parseArp(bytes('ffffffffffff 525400010203 0806 0001 0800 06 04 0002 525400010203 c0a84d32 000000000000 c0a84d01'))).toEqual({
      operation: 'reply',
      frameSource: '52:54:00:01:02:03',
      senderMac: '52:54:00:01:02:03',
      senderIp: '192.168.77.50',
      targetIp: '192.168.77.1',
    })
  })

  it('asks with sender address 0.0.0.0, as RFC 5227 has it', () => {
    expect(parseArp(arpProbe('52:54:00:01:02:03', '192.168.77.50'))).toMatchObject({
      operation: 'request',
      senderIp: '0.0.0.0',
      targetIp: '192.168.77.50',
    })
  })

  it('reads the address of a DHCP ACK, wherever in the options its type stands', () => {
    const ack = { clientMac: '52:54:00:01:02:03', xid: 0, ip: '192.168.77.51' }
    expect(parseDhcpAck(dhcpFrame('350105ff'))).toEqual(ack)
    expect(parseDhcpAck(dhcpFrame('00003604c0a84d01350105ff'))).toEqual(ack)
  })

  it.each([
    ['an offer', dhcpFrame('350102ff')],
    ['no type', dhcpFrame('ff350105')],
    ['a type cut off', dhcpFrame('3501')],
    ['an option longer than the packet', dhcpFrame('3640c0')],
    ['a fragment', dhcpFrame('350105ff', '4500 0110 0000 2000 4011 0000 c0a84d01 ffffffff')],
    ['another protocol', dhcpFrame('350105ff', '4500 0110 0000 0000 4006 0000 c0a84d01 ffffffff')],
    ['a header shorter than 20 bytes', dhcpFrame('350105ff', '4100 0110 0000 0000 4011 0000 c0a84d01 ffffffff')],
  ])('takes no address from %s', (_, frame) => {
    expect(parseDhcpAck(frame)).toBeUndefined()
  })

  it('reads what a DHCP client asks for, in a new lease and in a renewal', () => {
    const from = '52:54:00:01:02:03'
    const request = dhcpRequest({ from, client: from, xid: 0xfedc_ba98, ip: '192.168.77.51' })
    const asked = { frameSource: from, clientMac: from, xid: 0xfedc_ba98, ip: '192.168.77.51' }
    expect(parseDhcpRequest(request)).toEqual(asked)
    // A renewal has no option 50 and says its address in `ciaddr`, 12 bytes into the message.
    const renewal = Buffer.from(request)
    renewal.set([255], 42 + 243)
    renewal.set([192, 168, 77, 52], 42 + 12)
    expect(parseDhcpRequest(renewal)).toEqual({ ...asked, ip: '192.168.77.52' })
    expect(parseDhcpAck(request)).toBeUndefined()
  })

  it('makes an echo whose answer brings the nonce back', () => {
    const nonce = Uint8Array.of(1, 2, 3, 4)
    const reply = icmpEcho(0x1234, 1, nonce)
    reply[0] = 0
    const packet = Uint8Array.from([...bytes('4500 0020 0000 0000 4001 0000 c0a84d02 c0a84d01'), ...reply])
    expect(parseEchoReply(packet)).toEqual({ source: '192.168.77.2', identifier: 0x1234, nonce })
  })

  it('survives any bytes, and every cut of a good frame', () => {
    const read = (frame: Uint8Array): void => {
      for (const each of [parseArp, parseDhcpAck, parseDhcpRequest, parseEchoReply]) expect(() => each(frame)).not.toThrow()
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), read))
    // Random bytes hardly ever get past the first field: good frames with some bytes changed get deeper.
    const change = fc.array(fc.tuple(fc.nat(310), fc.nat(255)), { maxLength: 6 })
    fc.assert(
      fc.property(change, fc.nat(310), (changes, length) => {
        const frame = dhcpFrame('3604c0a84d013604c0a84d01350105ff')
        for (const [at, value] of changes) if (at < frame.length) frame[at] = value
        read(frame.subarray(0, length))
      }),
      { numRuns: 1000 },
    )
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sightings } from '../../../src/broker/sightings.ts'
import { arp, dhcpAck, dhcpRequest } from '../../contract/broker/frames.ts'
import { aMac } from '../../support/branded.ts'

const mac = aMac('52:54:00:00:00:01')
const hostile = aMac('52:54:00:00:00:66')
const server = '02:00:00:00:00:01'
const tap = 'sv0123456789ab'

/** One TAP with frames of a VM and of others. */
function aTap() {
  const table = sightings()
  let nowMs = 0
  return {
    table,
    vmSends: (frame: Buffer) => table.onTap(tap, mac, frame, 'received', (nowMs += 1)),
    vmGets: (frame: Buffer) => table.onTap(tap, mac, frame, 'sent', (nowMs += 1)),
    /** Latest first. */
    addresses: () => table.of([mac, hostile], nowMs).map(({ ip, via }) => `${ip} ${via}`),
  }
}

describe('the address of a VM', () => {
  it('is what it says of itself by ARP, the latest 16', () => {
    const { table, vmSends, addresses } = aTap()
    for (let last = 1; last <= 40; last++) vmSends(arp({ from: mac, senderIp: `10.0.0.${last}` }))
    expect(addresses()).toHaveLength(16)
    expect(addresses()[0]).toBe('10.0.0.40 arp')
    table.forget(tap)
    expect(addresses()).toEqual([])
  })

  it('is the address that a DHCP server confirms after the VM requested it', () => {
    const { vmSends, vmGets, addresses } = aTap()
    vmSends(dhcpRequest({ from: mac, client: mac, xid: 7, ip: '10.0.0.5' }))
    expect(addresses()).toEqual([])
    vmGets(dhcpAck({ from: server, client: mac, xid: 7, ip: '10.0.0.5' }))
    expect(addresses()).toEqual(['10.0.0.5 dhcp'])
  })

  it.each([
    ['an ACK without a request', dhcpAck({ from: hostile, client: mac, xid: 8, ip: '10.0.0.66' })],
    ['an ACK of the right transaction with another address', dhcpAck({ from: hostile, client: mac, xid: 7, ip: '10.0.0.66' })],
    ['an ACK of another VM', dhcpAck({ from: server, client: hostile, xid: 7, ip: '10.0.0.5' })],
    ['ARP of another guest in its name', arp({ from: hostile, sender: mac, senderIp: '10.0.0.66' })],
    ['ARP with its MAC that comes from outside', arp({ from: mac, senderIp: '10.0.0.66' })],
    ['a REQUEST in its name that comes from outside', dhcpRequest({ from: mac, client: mac, xid: 9, ip: '10.0.0.66' })],
  ])('is not %s', (_, frame) => {
    const { vmSends, vmGets, addresses } = aTap()
    vmSends(dhcpRequest({ from: mac, client: mac, xid: 7, ip: '10.0.0.5' }))
    vmGets(frame)
    vmGets(dhcpAck({ from: hostile, client: mac, xid: 9, ip: '10.0.0.66' }))
    expect(addresses()).toEqual([])
  })

  it.each([
    ['a probe for an address', arp({ from: mac, senderIp: '0.0.0.0' })],
    ['ARP in the name of another', arp({ from: mac, sender: hostile, senderIp: '10.0.0.66' })],
    ['ARP with the MAC of another', arp({ from: hostile, senderIp: '10.0.0.66' })],
    ['an ACK that it sends itself', dhcpAck({ from: mac, client: mac, xid: 7, ip: '10.0.0.66' })],
  ])('is not %s', (_, frame) => {
    const { vmSends, addresses } = aTap()
    vmSends(dhcpRequest({ from: mac, client: mac, xid: 7, ip: '10.0.0.66' }))
    vmSends(frame)
    expect(addresses()).toEqual([])
  })

  it('is never moved by frames that come from outside, whatever they are', () => {
    const macs = fc.constantFrom(mac, hostile, server)
    const ips = fc.constantFrom('10.0.0.5', '10.0.0.66', '0.0.0.0')
    const forged = fc.oneof(
      fc.record({ from: macs, sender: macs, senderIp: ips, operation: fc.constantFrom('request' as const, 'reply' as const) }).map(arp),
      fc.record({ from: macs, client: macs, xid: fc.nat(9), ip: ips }).map(dhcpAck),
      fc.record({ from: macs, client: macs, xid: fc.nat(9), ip: ips }).map(dhcpRequest),
      fc.uint8Array({ maxLength: 400 }).map((any) => Buffer.from(any)),
    )
    fc.assert(
      fc.property(fc.array(forged, { maxLength: 30 }), fc.nat(9), (frames, xid) => {
        const { vmSends, vmGets, addresses } = aTap()
        vmSends(dhcpRequest({ from: mac, client: mac, xid, ip: '10.0.0.5' }))
        for (const frame of frames) vmGets(frame)
        expect(['', '10.0.0.5 dhcp']).toContain(addresses().join())
      }),
    )
  })
})

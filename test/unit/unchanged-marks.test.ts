import { expect, test } from 'vitest'
import type { VmStatus } from '../../src/api/wire/agent-api.ts'
import type { Sighting } from '../../src/api/wire/broker-admin.ts'
import { probeMark, vmMark } from '../../src/api/wire/unchanged.ts'
import { aMac, aUid } from '../support/branded.ts'

const mac = aMac('52:54:00:00:00:01')
const heard = (ip: string, ageMs: number, via: Sighting['via'] = 'arp'): Sighting => ({ mac, ip, via, interface: 'br0', ageMs })

function withHeard(...sightings: Sighting[]): VmStatus {
  return {
    version: 1,
    uid: aUid('6f1b3a52-3c1d-4a89-9a53-0f6f4f1f9c11'),
    lease: null,
    sightings,
    runner: null,
    runnerMessage: '',
    brokerMessage: '',
  }
}

test('the age of an address does not change the mark', () => {
  expect(vmMark(withHeard(heard('10.0.0.1', 5)))).toBe(vmMark(withHeard(heard('10.0.0.1', 90_000))))
})

test('the order of two addresses changes the mark, since it decides which one counts', () => {
  const [first, second] = [withHeard(heard('10.0.0.1', 5), heard('10.0.0.2', 90)), withHeard(heard('10.0.0.1', 90), heard('10.0.0.2', 5))]
  expect(vmMark(first)).not.toBe(vmMark(second))
})

test('the order of an address by DHCP and one by ARP does not change the mark', () => {
  const [first, second] = [
    withHeard(heard('10.0.0.1', 5, 'dhcp'), heard('10.0.0.2', 90)),
    withHeard(heard('10.0.0.2', 5), heard('10.0.0.1', 90, 'dhcp')),
  ]
  expect(vmMark(first)).toBe(vmMark(second))
})

test('anything else makes another answer', () => {
  const status = withHeard(heard('10.0.0.1', 5))
  expect(vmMark({ ...status, brokerMessage: 'connect ENOENT' })).not.toBe(vmMark(status))
  expect(vmMark(withHeard())).not.toBe(vmMark(status))
})

test('the duration of a probe does not change the mark, and the MAC that answered does', () => {
  const outcome = { outcome: 'reached', reason: 'ArpReply', message: '', mac, rttMs: 0.2 } as const
  expect(probeMark({ ...outcome, rttMs: 70 })).toBe(probeMark(outcome))
  expect(probeMark({ ...outcome, mac: aMac('52:54:00:00:00:02') })).not.toBe(probeMark(outcome))
})

import { expect, test } from 'vitest'
import type { Host } from '../../../src/broker/host-view.ts'
import { Leases, type LeasesOptions } from '../../../src/broker/leases.ts'
import { silentLog, virtualClock } from '../controller/virtual-clock.ts'
import { aUid, aVmName } from '../../support/branded.ts'

const uid = aUid('11111111-1111-4111-8111-111111111111')

function aRunner(id: number) {
  const said: string[] = []
  return { said, link: { id, send: (message: { type: string }) => void said.push(message.type), flushed: async () => undefined } }
}

/** A running VM without networks, and a broker that powers everything off. */
async function goingDown() {
  const clock = virtualClock()
  const leases = new Leases({
    host: { network: {}, devices: {}, locks: { locked: async () => undefined } } as unknown as Host,
    limits: { bridges: ['br0'], devices: [], macPrefix: '52:54:00' },
    clock,
    log: silentLog,
    closeFds: () => undefined,
    tapLocks: { lock: async () => undefined } as unknown as LeasesOptions['tapLocks'],
    onTaps: () => undefined,
    forward: { problem: () => undefined },
  })
  leases.grant({ version: 1, uid, vm: aVmName('web'), accelerator: 'tcg', nics: [] })
  const [first, again] = [aRunner(1), aRunner(2)]
  leases.enter(uid, first.link, [])
  await clock.pass(1_000)
  const off = leases.power.offAll(120_000)
  await clock.pass(1_000)
  expect(first.said).toEqual(['granted', 'powerOff'])
  return { leases, clock, again, off, guestIsOff: () => leases.gone(uid, 1) }
}

test('a runner that asks again while the node goes down waits, and is granted its lease when the node stays up', async () => {
  const { leases, clock, again, off, guestIsOff } = await goingDown()
  guestIsOff()
  leases.enter(uid, again.link, [])
  await clock.pass(59_000)
  expect(await off).toEqual([])
  expect(again.said).toEqual(['waiting'])
  leases.power.onAll()
  await clock.pass(1_000)
  expect(again.said).toEqual(['waiting', 'granted'])
  leases.close()
})

test('where nobody says that the node stays up, it is granted a minute later', async () => {
  const { leases, clock, again, off, guestIsOff } = await goingDown()
  guestIsOff()
  leases.enter(uid, again.link, [])
  await clock.pass(62_000)
  await off
  expect(again.said).toEqual(['waiting', 'granted'])
  leases.close()
})

test('a power-on ends a power-off that still waits for a guest', async () => {
  const { leases, clock, again, off, guestIsOff } = await goingDown()
  leases.power.onAll()
  await clock.pass(1_000)
  expect(await off).toEqual([uid])
  guestIsOff()
  leases.enter(uid, again.link, [])
  await clock.pass(1_000)
  expect(again.said).toEqual(['granted'])
  leases.close()
})

import { describe, expect, it } from 'vitest'
import { layout } from '../../../src/api/layout.ts'
import { tapName } from '../../../src/api/names.ts'
import { broker, type BrokerOptions } from '../../../src/broker/broker.ts'
import type { Host } from '../../../src/broker/host-view.ts'
import { Leases } from '../../../src/broker/leases.ts'
import { TapLocks } from '../../../src/broker/tap-locks.ts'
import type { GuestFilter } from '../../../src/ports/guest-filter.ts'
import type { HostNetwork } from '../../../src/ports/host-network.ts'
import { silentLog, virtualClock } from '../controller/virtual-clock.ts'
import { aMac, aUid, aVmName } from '../../support/branded.ts'

const uid = aUid('11111111-1111-4111-8111-111111111111')
const limits = { bridges: ['br0'], devices: [], macPrefix: '52:54:00' }
const bridge = { name: 'br0', mtu: 1500, carrier: true, up: true, address: null }

const noFilter: GuestFilter = { locks: async () => [], lock: async () => undefined, removeUnless: async () => undefined }

/** A network that has no descriptor left while `broken`. */
function aNetwork() {
  const state = { broken: false, asked: 0 }
  const network = {
    bridge: () => {
      if (state.broken) throw new Error('socket: EMFILE')
      return bridge
    },
    ports: () => {
      state.asked += 1
      if (state.broken) throw new Error('readdir: EMFILE')
      return []
    },
    mac: () => 'fe:54:00:00:00:01',
    carrier: () => true,
    exists: () => true,
    clearTap: () => 'attached',
  } as unknown as HostNetwork
  return { state, network }
}

describe('a host that fails for a moment', () => {
  it('does not end the broker, which looks for stale TAPs again', async () => {
    const { state, network } = aNetwork()
    const clock = virtualClock()
    const listener = async () => ({ close: () => undefined })
    const running = await broker({
      layout: layout('/s'),
      limits,
      bootId: 'b',
      sockets: { listen: listener },
      directories: { list: async () => [] },
      packetListener: {
        listen: () => {
          throw new Error('socket: EMFILE')
        },
      },
      network,
      filter: noFilter,
      clock,
      log: silentLog,
      closeFds: () => undefined,
    } as unknown as BrokerOptions)
    state.broken = true
    await clock.pass(25_000)
    state.broken = false
    const before = state.asked
    await clock.pass(25_000)
    expect(state.asked).toBeGreaterThan(before)
    running.close()
  })

  it('does not leave a holder that came back without an answer', async () => {
    const { state, network } = aNetwork()
    const clock = virtualClock()
    const leases = new Leases({
      host: { network, devices: {}, locks: {} } as unknown as Host,
      limits,
      clock,
      log: silentLog,
      closeFds: () => undefined,
      tapLocks: new TapLocks({ filter: noFilter, network, log: silentLog }),
      onTaps: () => undefined,
      forward: { problem: () => undefined },
    })
    const said: string[] = []
    const link = {
      id: 1,
      container: 'aaaaaaaaaaaa',
      send: (message: { type: string }) => void said.push(message.type),
      flushed: async () => undefined,
    }
    const nics = [{ name: 'lan', bridge: 'br0', mac: aMac('52:54:00:00:00:01'), mtu: null }]
    leases.grant({ version: 1, uid, vm: aVmName('web'), accelerator: 'tcg', nics })
    state.broken = true
    leases.enter(uid, link, [tapName(uid, 'lan')])
    await clock.pass(2_000)
    expect(said).toEqual([])
    state.broken = false
    await clock.pass(2_000)
    expect(said).toEqual(['granted'])
    expect(leases.fact(uid)).toMatchObject({ held: true, container: 'aaaaaaaaaaaa' })
    leases.gone(uid, 1)
    expect(leases.fact(uid)).not.toHaveProperty('container')
    leases.close()
  })
})

it('a VM that comes for its lease while all are powered off does not start, however long its rules take', async () => {
  const clock = virtualClock()
  const closed: number[] = []
  const rules = Promise.withResolvers<void>()
  const network = { ...aNetwork().network, exists: () => false, clearTap: () => 'absent', makeTap: () => 99 } as unknown as HostNetwork
  const leases = new Leases({
    host: { network, devices: { fact: () => ({ opens: true }) }, locks: { locked: async () => undefined } } as unknown as Host,
    limits,
    clock,
    log: silentLog,
    closeFds: (fds) => void closed.push(...fds),
    tapLocks: {
      lock: () => rules.promise,
      lockOf: () => undefined,
      refuse: () => undefined,
      fact: () => ({ state: 'active', message: '' }),
    },
    onTaps: () => undefined,
    forward: { problem: () => undefined },
  })
  const said: string[] = []
  const link = { id: 1, send: (message: { type: string }) => void said.push(message.type), flushed: async () => undefined }
  leases.grant({
    version: 1,
    uid,
    vm: aVmName('web'),
    accelerator: 'tcg',
    nics: [{ name: 'lan', bridge: 'br0', mac: aMac('52:54:00:00:00:01'), mtu: null }],
  })
  leases.enter(uid, link, [])
  await clock.pass(1)
  expect(await leases.power.offAll(5_000)).toEqual([])
  rules.resolve()
  await clock.pass(1_000)
  expect({ said, closed, held: leases.fact(uid)?.held }).toEqual({ said: ['waiting'], closed: [99], held: false })
  leases.close()
})

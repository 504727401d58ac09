import { describe, expect, it } from 'vitest'
import { type BrokerLink, BrokerRefusal } from '../../../src/agent/broker-link.ts'
import { type Grants, grants } from '../../../src/agent/grants.ts'
import { layout } from '../../../src/api/layout.ts'
import type { BrokerRequest, LeaseFact } from '../../../src/api/wire/broker-admin.ts'
import type { Grant } from '../../../src/api/wire/common.ts'
import { PortError } from '../../../src/ports/errors.ts'
import { StateError, type StateFiles } from '../../../src/ports/state-files.ts'
import { silentLog, type VirtualClock, virtualClock } from '../controller/virtual-clock.ts'
import { aUid, aVmName } from '../../support/branded.ts'
import type { VmUid } from '../../../src/api/names.ts'

const paths = layout('/s')
const one = aUid('11111111-1111-4111-8111-111111111111')
const two = aUid('22222222-2222-4222-8222-222222222222')
const aGrant = (uid: VmUid, vm = 'web'): Grant => ({ version: 1, uid, vm: aVmName(vm), accelerator: 'tcg', nics: [] })

interface World {
  readonly held: Grants
  readonly onDisk: Map<string, string>
  /** The broker's grants. */
  readonly granted: Map<string, Grant>
  readonly asked: string[]
  readonly clock: VirtualClock
  readonly signal: AbortSignal
  /** The agent lost the broker and found it again. */
  reconnect(): void
  /** The broker's answer instead. */
  refusing: Error | undefined
  /** Called before the named step goes on. */
  before: (step: string) => Promise<void>
}

function aWorld(options: { pageSize?: number } = {}): World {
  const onDisk = new Map<string, string>()
  const granted = new Map<string, Grant>()
  const asked: string[] = []
  const files = {
    list: async () => [...onDisk.keys()].map((path) => path.slice(paths.grants.length + 1)),
    readText: async (path: string) => {
      const text = onDisk.get(path)
      await world.before('read')
      return text
    },
    stat: async (path: string) => (onDisk.has(path) ? ({ kind: 'file' } as const) : undefined),
    writeAtomically: async (path: string, text: string) => void onDisk.set(path, text),
    remove: async (path: string) => void onDisk.delete(path),
  } as unknown as StateFiles
  const answer = (question: Omit<BrokerRequest, 'id'>): object => {
    const request = question as BrokerRequest
    asked.push(request.type)
    if (request.type === 'grant') granted.set(request.grant.uid, request.grant)
    if (request.type === 'revoke') granted.delete(request.uid)
    if (request.type !== 'leases') return { type: 'ok', id: 1 }
    const all = [...granted.keys()].toSorted().map((uid) => ({ uid, granted: true }) as LeaseFact)
    const size = options.pageSize
    if (size === undefined || request.after === undefined) return { type: 'leases', id: 1, leases: all }
    const rest = all.filter(({ uid }) => uid > (request.after ?? ''))
    return { type: 'leases', id: 1, leases: rest.slice(0, size), next: rest.length > size ? rest[size - 1]?.uid : null }
  }
  const clock = virtualClock()
  let hello = { bootId: 'b' }
  const broker = {
    hello: () => hello,
    ask: async (question: Omit<BrokerRequest, 'id'>) => {
      await world.before(question.type)
      if (world.refusing !== undefined) throw world.refusing
      return answer(question)
    },
  } as unknown as BrokerLink
  const world: World = {
    onDisk,
    granted,
    asked,
    refusing: undefined,
    before: async () => undefined,
    clock,
    signal: new AbortController().signal,
    reconnect: () => void (hello = { bootId: 'b' }),
    held: grants({ layout: paths, files, broker, clock, log: silentLog }),
  }
  return world
}

const keep = (world: World, grant: Grant): void => void world.onDisk.set(paths.grantFile(grant.uid), JSON.stringify(grant))

/** Holds the first run of a step back until `go`. */
function pauseAt(world: World, step: string): { reached: Promise<void>; go: () => void } {
  const reached = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  let first = true
  world.before = async (each) => {
    if (each !== step || !first) return
    first = false
    reached.resolve()
    await gate.promise
  }
  return { reached: reached.promise, go: gate.resolve }
}

describe('a grant that works', () => {
  const better = { ...aGrant(one), accelerator: 'kvm' } as const
  const file = (world: World): unknown => JSON.parse(world.onDisk.get(paths.grantFile(one)) ?? 'null')

  it('is kept by file and broker when the broker refuses another one', async () => {
    const world = aWorld()
    await world.held.put(aGrant(one))
    world.refusing = new BrokerRefusal('BridgeNotAllowed', 'bridge br9 is not allowed')
    expect(await world.held.put(better)).toMatchObject({ kind: 'refused', reason: 'BridgeNotAllowed' })
    world.refusing = undefined
    expect(file(world)).toEqual(aGrant(one))
    await world.held.renew(world.signal)
    expect(world.granted.get(one)).toEqual(aGrant(one))
  })

  it('is kept while nobody can say whether another one will be accepted', async () => {
    const world = aWorld()
    await world.held.put(aGrant(one))
    world.refusing = new PortError('Unavailable', 'connect ENOENT')
    expect(await world.held.put(better)).toMatchObject({ kind: 'waiting' })
    expect(file(world)).toEqual(aGrant(one))
    world.refusing = undefined
    expect(await world.held.put(better)).toEqual({ kind: 'granted' })
    expect(file(world)).toEqual(better)
  })
})

it('the first grant of a VM waits for the broker in its file, and one that is refused does not', async () => {
  const world = aWorld()
  world.refusing = new PortError('Unavailable', 'connect ENOENT')
  expect(await world.held.put(aGrant(one))).toMatchObject({ kind: 'waiting' })
  world.refusing = new BrokerRefusal('MacTaken', 'taken')
  expect(await world.held.put(aGrant(two))).toMatchObject({ kind: 'refused' })
  expect([...world.onDisk.keys()]).toEqual([paths.grantFile(one)])
})

describe('renewing grants while orders come in', () => {
  it('does not take back what was granted after it had listed the files', async () => {
    const world = aWorld()
    keep(world, aGrant(one))
    const pause = pauseAt(world, 'leases')
    const renewed = world.held.renew(world.signal)
    await pause.reached
    expect(await world.held.put(aGrant(two))).toEqual({ kind: 'granted' })
    pause.go()
    await renewed
    expect([...world.granted.keys()]).toEqual([one, two])
  })

  it('does not give back what was revoked while it read the file', async () => {
    const world = aWorld()
    keep(world, aGrant(one))
    const pause = pauseAt(world, 'read')
    const renewed = world.held.renew(world.signal)
    await pause.reached
    const revoked = world.held.revoke(one)
    await new Promise((resolve) => setImmediate(resolve))
    pause.go()
    await Promise.all([renewed, revoked])
    expect(world.granted.size).toBe(0)
  })

  it('does not put an older grant over a newer one', async () => {
    const world = aWorld()
    keep(world, aGrant(one, 'old'))
    const pause = pauseAt(world, 'read')
    const renewed = world.held.renew(world.signal)
    await pause.reached
    const put = world.held.put(aGrant(one, 'new'))
    await new Promise((resolve) => setImmediate(resolve))
    pause.go()
    await Promise.all([renewed, put])
    expect(world.granted.get(one)?.vm).toBe('new')
  })

  it('takes back what has no file, on every page of what the broker holds', async () => {
    const world = aWorld({ pageSize: 2 })
    const strays = [3, 4, 5, 6, 7].map((digit) => aUid(one.replaceAll('1', String(digit))))
    keep(world, aGrant(one))
    for (const uid of strays) world.granted.set(uid, aGrant(uid))
    await world.held.renew(world.signal)
    expect([...world.granted.keys()]).toEqual([one])
  })
})

describe('a broker that gives no answer for once', () => {
  const slow = () => Promise.reject(new PortError('Unavailable', 'no answer within 5000 ms'))
  /** The first question of this kind gets no answer. */
  function slowOnce(world: World, step: string): void {
    let first = true
    world.before = async (each) => {
      if (each !== step || !first) return
      first = false
      await slow()
    }
  }

  it('gets the grant again, without a controller', async () => {
    const world = aWorld()
    for (const uid of [one, two]) keep(world, aGrant(uid))
    slowOnce(world, 'grant')
    const renewed = world.held.renew(world.signal)
    await world.clock.pass(0)
    expect([...world.granted.keys()]).toEqual([two])
    await world.clock.pass(1_000)
    await renewed
    expect([...world.granted.keys()].toSorted()).toEqual([one, two])
    expect(world.clock.pending()).toBe(0)
  })

  it('is asked again what it holds, so that strays are taken back', async () => {
    const world = aWorld()
    world.granted.set(two, aGrant(two))
    slowOnce(world, 'leases')
    const renewed = world.held.renew(world.signal)
    await world.clock.pass(1_000)
    await renewed
    expect(world.granted.size).toBe(0)
  })

  it('is asked less and less often, and no more once the connection is another one', async () => {
    const world = aWorld()
    keep(world, aGrant(one))
    let asked = 0
    world.before = async (step) => {
      if (step !== 'grant') return
      asked += 1
      await slow()
    }
    const renewed = world.held.renew(world.signal)
    await world.clock.pass(3_600_000)
    expect(asked).toBeGreaterThan(10)
    expect(asked).toBeLessThan(80)
    world.reconnect()
    await world.clock.pass(60_000)
    await renewed
    expect(world.clock.pending()).toBe(0)
  })
})

describe('a grant file', () => {
  const unreadableOnce = (world: World): void => {
    let first = true
    world.before = async (step) => {
      if (step !== 'read' || !first) return
      first = false
      throw new StateError('Io', 'EIO: i/o error, read')
    }
  }

  it('that cannot be read once is read again, with no controller', async () => {
    const world = aWorld()
    keep(world, aGrant(one))
    unreadableOnce(world)
    const renewed = world.held.renew(world.signal)
    await world.clock.pass(0)
    expect([...world.granted.keys()]).toEqual([])
    await world.clock.pass(1_000)
    await renewed
    expect([...world.granted.keys()]).toEqual([one])
  })

  it('that cannot be read is not replaced', async () => {
    const world = aWorld()
    keep(world, aGrant(one, 'old'))
    unreadableOnce(world)
    await expect(world.held.put(aGrant(one, 'new'))).rejects.toThrow('EIO')
    expect(world.onDisk.get(paths.grantFile(one))).toContain('old')
    expect(world.asked).toEqual([])
  })

  it('that cannot be understood is left alone until an order replaces it', async () => {
    const world = aWorld()
    world.onDisk.set(paths.grantFile(one), '{')
    await world.held.renew(world.signal)
    expect(world.clock.pending()).toBe(0)
    expect(await world.held.readClear(one)).toBeUndefined()
    expect(await world.held.put(aGrant(one))).toEqual({ kind: 'granted' })
    expect(world.onDisk.get(paths.grantFile(one))).toContain('web')
  })
})

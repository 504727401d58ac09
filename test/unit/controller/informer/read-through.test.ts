import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readThrough, type ReadThroughPorts } from '../../../../src/controller/informer/read-through.ts'
import { store, type Stored } from '../../../../src/controller/informer/store.ts'

interface Thing extends Stored {
  readonly name: string
}

function thing(name: string, version: number, id = `id-${name}`, labels: Record<string, string> = {}): Thing {
  return { id, version, name, labels }
}

const names = (things: readonly Thing[]): string[] => things.map(({ name }) => name).toSorted()

/** Docker with one kind of object. Answers can be held back: they are of the moment of the question. */
function docker(...initial: readonly Thing[]) {
  const world = new Map(initial.map((one) => [one.name, one]))
  const calls: string[] = []
  const held: (() => void)[] = []
  let isHeld = false
  let failure: Error | undefined
  const answer = async <Value>(call: string, value: () => Value): Promise<Value> => {
    calls.push(call)
    if (failure !== undefined) throw failure
    const found = value()
    if (isHeld) await new Promise<void>((resolve) => held.push(resolve))
    return found
  }
  return {
    world,
    calls,
    put: (...things: readonly Thing[]) => things.forEach((one) => world.set(one.name, one)),
    hold: () => (isHeld = true),
    /** Releases the request at this index, or all requests. */
    release(place?: number) {
      if (place === undefined) isHeld = false
      for (const one of place === undefined ? held.splice(0) : held.splice(place, 1)) one()
    },
    fail: (error: Error | undefined) => (failure = error),
    list: () => answer('list', () => [...world.values()]),
    get: (name: string) => answer(`get ${name}`, () => world.get(name) ?? [...world.values()].find(({ id }) => id === name)),
  }
}

/** A read-through cache; `at` sets its clock, `expected` is what writes of ours are in flight for. */
function reading(ports: Pick<ReadThroughPorts<Thing>, 'list' | 'get' | 'isListed'>) {
  let nowMs = 0
  const missed: string[] = []
  const expected = new Set<string>()
  const items = store<Thing>(({ name }) => name)
  const cache = readThrough<Thing>({
    store: items,
    now: () => nowMs,
    isExpected: (name) => expected.has(name),
    onMissed: ({ name }) => void missed.push(name),
    ...ports,
  })
  return { ...cache, store: items, missed, expected, at: (ms: number) => void (nowMs = ms) }
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
}

describe('freshness', () => {
  it('reads everything once, and one object when it is stale', async () => {
    const swarm = docker(thing('a', 1), thing('b', 1))
    const cache = reading(swarm)
    await cache.list()
    swarm.put(thing('a', 2))
    cache.invalidate('a')
    expect((await cache.get('a'))?.version).toBe(2)
    await cache.list()
    expect(swarm.calls).toEqual(['list', 'get a'])
  })

  it('lists once when many objects are stale, or all may be', async () => {
    const swarm = docker(thing('a', 1))
    const cache = reading(swarm)
    await cache.list()
    for (let index = 0; index < 9; index += 1) cache.invalidate(`x${index}`)
    await cache.list()
    cache.invalidateAll()
    await cache.list()
    expect(swarm.calls).toEqual(['list', 'list', 'list'])
  })

  it('reads single objects while they are a small share of all', async () => {
    const swarm = docker(...Array.from({ length: 320 }, (_, index) => thing(`x${index}`, 1)))
    const cache = reading(swarm)
    await cache.list()
    for (let index = 0; index < 20; index += 1) cache.invalidate(`x${index}`)
    await cache.list()
    expect(swarm.calls.filter((call) => call === 'list')).toHaveLength(1)
  })

  it('reads again what was invalidated while it was being read', async () => {
    const swarm = docker(thing('a', 1))
    const cache = reading(swarm)
    swarm.hold()
    const first = cache.list()
    cache.invalidate('a')
    swarm.put(thing('a', 2))
    swarm.release()
    expect((await first).map((one) => one.version)).toEqual([2])
    swarm.hold()
    cache.invalidate('a')
    const second = cache.get('a')
    await settle()
    cache.invalidate('a')
    swarm.put(thing('a', 3))
    swarm.release()
    expect((await second)?.version).toBe(3)
  })

  it('lists again when everything was invalidated while it was being listed', async () => {
    const swarm = docker(thing('a', 1))
    const cache = reading(swarm)
    swarm.hold()
    const first = cache.list()
    cache.invalidateAll()
    swarm.put(thing('a', 2))
    swarm.release()
    expect((await first).map((one) => one.version)).toEqual([2])
  })

  it('throws and changes nothing when a read fails, and still knows what is stale', async () => {
    const swarm = docker(thing('a', 1))
    const cache = reading(swarm)
    await cache.list()
    cache.invalidate('a')
    swarm.fail(new Error('no leader'))
    await expect(cache.get('a')).rejects.toThrow('no leader')
    await expect(cache.relist()).rejects.toThrow('no leader')
    cache.invalidateAll()
    await expect(cache.list()).rejects.toThrow('no leader')
    swarm.fail(undefined)
    swarm.world.delete('a')
    expect(await cache.list()).toEqual([])
  })

  it('joins a read in flight, and reads for itself when that one fails', async () => {
    const swarm = docker()
    const cache = reading(swarm)
    await cache.list()
    swarm.hold()
    const both = [cache.get('a'), cache.get('a')]
    await settle()
    swarm.release()
    expect(await Promise.all(both)).toEqual([undefined, undefined])
    expect(swarm.calls).toEqual(['list', 'get a'])
    swarm.fail(new Error('cancelled'))
    const failing = cache.get('a')
    const joined = cache.get('a')
    swarm.put(thing('a', 1))
    swarm.fail(undefined)
    await expect(failing).rejects.toThrow('cancelled')
    expect((await joined)?.version).toBe(1)
  })

  it('accepts an absence of the last two seconds for callers that request a recent one', async () => {
    const swarm = docker()
    const cache = reading(swarm)
    await cache.list()
    cache.at(1_999)
    expect(await cache.get('a', 'recent')).toBeUndefined()
    expect(swarm.calls).toEqual(['list'])
    cache.at(2_000)
    expect(await cache.get('a', 'recent')).toBeUndefined()
    cache.at(3_000)
    swarm.put(thing('a', 1))
    expect(await cache.get('a', 'recent')).toBeUndefined()
    expect(await cache.get('a')).toBeDefined()
    expect(swarm.calls).toEqual(['list', 'get a', 'get a'])
    cache.invalidate('b')
    swarm.put(thing('b', 1))
    expect(await cache.get('b', 'recent')).toBeDefined()
    expect(await cache.get('c')).toBeUndefined()
    cache.at(5_000)
    await cache.relist()
    cache.at(6_000)
    swarm.calls.length = 0
    expect(await cache.get('c', 'recent')).toBeUndefined()
    expect(swarm.calls).toEqual([])
  })

  it('serves a recent list from the last two seconds', async () => {
    const swarm = docker()
    const cache = reading(swarm)
    await cache.list()
    swarm.put(thing('a', 1))
    cache.at(1_999)
    expect(await cache.list({ freshness: 'recent' })).toEqual([])
    cache.at(2_000)
    expect(await cache.list({ freshness: 'recent' })).toHaveLength(1)
    cache.invalidate('b')
    swarm.put(thing('b', 1))
    expect(await cache.list({ freshness: 'recent' })).toHaveLength(2)
  })

  it('lists once for a recent list that takes Docker longer than a list is recent', async () => {
    const swarm = docker(thing('a', 1))
    const cache = reading({
      async list() {
        if (swarm.calls.length === 3) throw new Error('listed again and again')
        cache.at(2_500 * (swarm.calls.length + 1))
        return await swarm.list()
      },
    })
    expect(await cache.list({ freshness: 'recent' })).toHaveLength(1)
    expect(swarm.calls).toEqual(['list'])
  })

  it('lists objects when one is stale by an id that the cache lacks', async () => {
    const swarm = docker(thing('a', 1))
    const cache = reading({
      list: async () => [],
      async get(nameOrId) {
        if (swarm.calls.length === 3) throw new Error('asked again and again')
        return await swarm.get(nameOrId)
      },
    })
    await cache.list()
    cache.invalidate('id-a')
    expect(await cache.list()).toEqual([thing('a', 1)])
    expect(swarm.calls).toEqual(['get id-a'])
  })

  it('waits for no stale object that is known to carry another value of the label', async () => {
    const ofVm = (name: string, vm: string): Thing => thing(name, 1, `id-${name}`, { 'swarmvirt.vm': vm })
    const swarm = docker(ofVm('a', 'web'), ofVm('b', 'db'))
    const cache = reading(swarm)
    await cache.list()
    cache.invalidate('b')
    expect(await cache.list({ label: 'swarmvirt.vm=web' })).toHaveLength(1)
    expect(swarm.calls).toEqual(['list'])
    swarm.put(ofVm('new', 'web'))
    cache.invalidate('new')
    expect(await cache.list({ label: 'swarmvirt.vm=web' })).toHaveLength(2)
    expect(swarm.calls).toEqual(['list', 'get new'])
    swarm.put(thing('b', 2, 'id-b', { 'swarmvirt.vm': 'db', other: '1' }))
    cache.invalidate('b')
    expect(await cache.list({ label: 'other=1' })).toHaveLength(1)
  })
})

describe('order of reads', () => {
  it('keeps the newer version when a manager that lags behind answers', async () => {
    const swarm = docker(thing('a', 5))
    const cache = reading(swarm)
    await cache.list()
    swarm.put(thing('a', 4))
    cache.invalidate('a')
    expect((await cache.get('a'))?.version).toBe(5)
    await cache.relist()
    expect((await cache.get('a'))?.version).toBe(5)
  })

  it('takes an object that was created again, and older versions after a gap', async () => {
    const swarm = docker(thing('a', 5))
    const cache = reading(swarm)
    await cache.list()
    swarm.put(thing('a', 2, 'another'))
    cache.invalidate('a')
    expect((await cache.get('a'))?.id).toBe('another')
    swarm.put(thing('a', 1, 'another'))
    cache.invalidateAll()
    expect((await cache.get('a'))?.version).toBe(1)
  })

  it('keeps what a single read found while an older list was in flight', async () => {
    const swarm = docker(thing('a', 1), thing('b', 1))
    const cache = reading(swarm)
    await cache.list()
    swarm.hold()
    const listed = cache.relist()
    await settle()
    swarm.put(thing('a', 1, 'another'), thing('c', 1))
    swarm.world.delete('b')
    for (const name of ['a', 'b', 'c']) cache.invalidate(name)
    const singly = ['a', 'b', 'c'].map((name) => cache.get(name))
    await settle()
    for (let place = 3; place > 0; place -= 1) swarm.release(place)
    await Promise.all(singly)
    swarm.release()
    await listed
    expect((await cache.get('a'))?.id).toBe('another')
    expect(names(await cache.list())).toEqual(['a', 'c'])
  })

  it('keeps what a list found while an older single read was in flight', async () => {
    const swarm = docker(thing('a', 1))
    const cache = reading(swarm)
    await cache.list()
    cache.invalidate('a')
    swarm.hold()
    const single = cache.get('a')
    await settle()
    swarm.world.delete('a')
    const listed = cache.relist()
    await settle()
    swarm.release(1)
    await listed
    swarm.release()
    expect(await single).toBeUndefined()
    expect(await cache.list()).toEqual([])
  })

  it('never returns an object from before an invalidation that preceded the call', async () => {
    type Step = { readonly kind: 'write' | 'remove' | 'invalidate' | 'get' | 'list' | 'relist' | 'invalidateAll'; readonly name: string }
    const step = fc.record({
      kind: fc.constantFrom<Step['kind']>('write', 'remove', 'invalidate', 'get', 'list', 'relist', 'invalidateAll'),
      name: fc.constantFrom('a', 'b'),
    })
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(step, { maxLength: 30 }), async (scheduler, steps) => {
        // The states of each object in order; the index of a state is its version.
        const history = new Map(['a', 'b'].map((name) => [name, [thing(name, 0) as Thing | undefined]]))
        const statesOf = (name: string) => history.get(name) ?? []
        const cache = reading({
          list: async () => scheduler.schedule(Promise.resolve([...history.values()].flatMap((states) => states.at(-1) ?? []))),
          get: async (name) => scheduler.schedule(Promise.resolve(statesOf(name).at(-1))),
        })
        const since = new Map<string, number>()
        const mayBe = (name: string, from: number, found: Thing | undefined): boolean =>
          statesOf(name).some((state, place) => place >= from && state?.version === found?.version)
        const reads = steps.map(async ({ kind, name }, index) => {
          await scheduler.schedule(Promise.resolve(), `${index}`)
          const states = statesOf(name)
          if (kind === 'write') states.push(thing(name, states.length, states.at(-1)?.id ?? `id-${name}-${states.length}`))
          if (kind === 'remove') states.push(undefined)
          if (kind === 'invalidate') {
            cache.invalidate(name)
            since.set(name, states.length - 1)
          }
          if (kind === 'invalidateAll') {
            cache.invalidateAll()
            for (const one of ['a', 'b']) since.set(one, statesOf(one).length - 1)
          }
          if (kind === 'relist') await cache.relist()
          const from = new Map(since)
          if (kind === 'get') expect(mayBe(name, from.get(name) ?? 0, await cache.get(name))).toBe(true)
          if (kind !== 'list') return
          const listed = await cache.list()
          for (const one of ['a', 'b']) {
            const found = listed.find((item) => item.name === one)
            if (found !== undefined || since.has(one)) expect(mayBe(one, from.get(one) ?? 0, found)).toBe(true)
          }
        })
        await scheduler.waitFor(Promise.all(reads))
      }),
      { numRuns: 300 },
    )
  })
})

describe('a list of some objects only', () => {
  const isListed = ({ labels }: Thing): boolean => labels['ours'] === 'yes'
  const ofOurs = (name: string, version = 1): Thing => thing(name, version, `id-${name}`, { ours: 'yes' })

  function some(...initial: readonly Thing[]) {
    const swarm = docker(...initial)
    return { swarm, cache: reading({ ...swarm, isListed, list: async () => (await swarm.list()).filter(isListed) }) }
  }

  it('does not prove the absence of an object without the label of the list', async () => {
    const { swarm, cache } = some(ofOurs('a'))
    await cache.list()
    swarm.put(thing('a', 2), thing('b', 1))
    await cache.get('b')
    await cache.relist()
    expect((await cache.get('a', 'recent'))?.version).toBe(2)
    expect((await cache.get('b', 'recent'))?.version).toBe(1)
    swarm.world.delete('b')
    await cache.relist()
    expect(await cache.get('b', 'recent')).toBeUndefined()
  })

  it("does not list again for other people's objects, however many there are, nor report them", async () => {
    const theirs = Array.from({ length: 20 }, (_, index) => thing(`x${index}`, 1))
    const { swarm, cache } = some(...theirs)
    await cache.list()
    for (const { name } of theirs) await cache.get(name)
    expect(await cache.relist()).toEqual([])
    await cache.list()
    expect(swarm.calls.filter((call) => call === 'list')).toHaveLength(2)
    expect(cache.missed).toEqual([])
  })
})

describe('changes', () => {
  it('returns what changed, appeared and disappeared since the last read', async () => {
    const swarm = docker(thing('a', 1), thing('b', 1), thing('c', 1))
    const cache = reading(swarm)
    await cache.list()
    swarm.put(thing('a', 2), thing('d', 1))
    swarm.world.delete('b')
    expect(names(await cache.relist())).toEqual(['a', 'b', 'd'])
    swarm.put(thing('c', 1))
    expect(await cache.relist()).toEqual([])
  })

  it('begins a relist after the call, although a list is in flight', async () => {
    const swarm = docker(thing('a', 1))
    const cache = reading(swarm)
    await cache.list()
    swarm.hold()
    cache.at(10_000)
    const recent = cache.list({ freshness: 'recent' })
    await settle()
    swarm.put(thing('a', 2))
    const changed = cache.relist()
    swarm.release()
    await recent
    expect(names(await changed)).toEqual(['a'])
  })

  it('lists again when a relist that it joined fails', async () => {
    const swarm = docker()
    let lists = 0
    const cache = reading({
      async list() {
        lists += 1
        if (lists === 2) throw new Error('no leader')
        return await swarm.list()
      },
    })
    await cache.list()
    swarm.put(thing('a', 1))
    const relists = await Promise.allSettled([cache.relist(), cache.relist()])
    expect(relists).toMatchObject([{ status: 'rejected' }, { status: 'fulfilled', value: [thing('a', 1)] }])
  })

  it('reports changes that no event announced, whichever list finds them', async () => {
    const swarm = docker(thing('a', 1), thing('b', 1), thing('c', 1), thing('d', 1))
    const cache = reading(swarm)
    await cache.list()
    expect(cache.missed).toEqual([])
    for (const name of ['b', 'c', 'd']) swarm.put(thing(name, 2))
    swarm.world.delete('a')
    cache.invalidate('b')
    cache.expected.add('c')
    cache.at(10_000)
    await cache.list({ freshness: 'recent' })
    expect(cache.missed.toSorted()).toEqual(['a', 'd'])
  })

  it('reports no change of which the event arrives while the list is in flight', async () => {
    const swarm = docker(thing('a', 1))
    const cache = reading(swarm)
    await cache.list()
    swarm.put(thing('a', 2))
    swarm.hold()
    const changed = cache.relist()
    await settle()
    cache.invalidate('a')
    swarm.release()
    expect(names(await changed)).toEqual(['a'])
    expect(cache.missed).toEqual([])
  })

  it('reports no missed event after a gap in the events', async () => {
    const swarm = docker(thing('a', 1))
    const cache = reading(swarm)
    await cache.list()
    cache.invalidateAll()
    swarm.put(thing('a', 2))
    expect(names(await cache.relist())).toEqual(['a'])
    expect(cache.missed).toEqual([])
  })

  it('calls subscribers for each change of the cache', async () => {
    const swarm = docker(thing('a', 1))
    const cache = reading(swarm)
    const seen = new Map<string, Thing>()
    cache.store.subscribe((name, item) => void (item === undefined ? seen.delete(name) : seen.set(name, item)))
    const check = async (): Promise<void> => {
      const listed = await cache.list()
      expect(names([...seen.values()])).toEqual(names(listed))
    }
    await check()
    swarm.put(thing('a', 2))
    cache.invalidate('a')
    await check()
    cache.wrote('b', thing('b', 0), undefined)
    expect(seen.get('b')?.version).toBe(0)
    swarm.world.delete('a')
    cache.invalidateAll()
    await check()
    expect([...seen.keys()]).toEqual([])
  })
})

describe('writes of ours', () => {
  it('are cached with the result of the write', async () => {
    const swarm = docker(thing('a', 1))
    const cache = reading(swarm)
    await cache.list()
    cache.wrote('a', thing('a', 0), cache.store.get('a'))
    expect((await cache.get('a'))?.version).toBe(0)
    expect(swarm.calls).toEqual(['list'])
  })

  it('are read again if another read ended meanwhile, or is in flight', async () => {
    const swarm = docker(thing('a', 1))
    const cache = reading(swarm)
    await cache.list()
    const wrote = (): void => cache.wrote('a', thing('a', 0), cache.store.get('a'))

    const before = cache.store.get('a')
    swarm.put(thing('a', 2))
    await cache.relist()
    cache.wrote('a', thing('a', 0), before)
    expect((await cache.get('a'))?.version).toBe(2)

    for (const version of [3, 4]) {
      swarm.hold()
      if (version === 3) cache.invalidate('a')
      const read = version === 3 ? cache.get('a') : cache.relist()
      await settle()
      swarm.put(thing('a', version))
      wrote()
      swarm.release()
      await read
      expect((await cache.get('a'))?.version).toBe(version)
    }
  })
})

describe('verify', () => {
  it('asks Docker whether the object is still what it was, and caches the answer', async () => {
    const swarm = docker(thing('a', 1))
    const cache = reading(swarm)
    const [known = thing('', 0)] = await cache.list()
    expect(await cache.verify(known)).toEqual(thing('a', 1))
    swarm.put(thing('a', 2))
    await expect(cache.verify(known)).rejects.toMatchObject({ kind: 'Conflict' })
    expect((await cache.get('a'))?.version).toBe(2)
    swarm.world.delete('a')
    await expect(cache.verify(thing('a', 2))).rejects.toMatchObject({ kind: 'Conflict' })
  })

  it('does not believe a read that began before the call', async () => {
    const swarm = docker(thing('a', 1))
    const cache = reading(swarm)
    const [known = thing('', 0)] = await cache.list()
    cache.invalidate('a')
    swarm.hold()
    const read = cache.get('a')
    await settle()
    swarm.put(thing('a', 2))
    const verified = cache.verify(known)
    const conflict = expect(verified).rejects.toMatchObject({ kind: 'Conflict' })
    swarm.release()
    await Promise.all([read, conflict])
  })

  it.each(['list', 'get'])('fails while Docker does not answer, also for a caller that joins a read (%s)', async (kind) => {
    const swarm = docker(thing('a', 1))
    const cache = reading(kind === 'get' ? swarm : { list: swarm.list })
    const [known = thing('', 0)] = await cache.list()
    swarm.fail(new Error('no leader'))
    const verified = await Promise.allSettled([cache.verify(known), cache.verify(known)])
    expect(verified.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  })
})

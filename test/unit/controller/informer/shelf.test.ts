import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { shelf, type Stored } from '../../../../src/controller/informer/shelf.ts'

function byName(a: Stored, b: Stored): number {
  return a.name < b.name ? -1 : 1
}

function thing(name: string, version: number, id = `id-${name}`): Stored {
  return { id, version, name, labels: {} }
}

/** Docker, as far as one kind goes; answers can be held back. */
function docker(initial: readonly Stored[] = []) {
  const world = new Map(initial.map((one) => [one.name, one]))
  const calls: string[] = []
  const held: (() => void)[] = []
  let isHeld = false
  let failure: Error | undefined
  const answer = async <Value>(call: string, value: () => Value): Promise<Value> => {
    calls.push(call)
    if (failure !== undefined) throw failure
    // What was so when it was asked.
    const found = value()
    if (isHeld) await new Promise<void>((resolve) => held.push(resolve))
    return found
  }
  return {
    world,
    calls,
    hold: () => (isHeld = true),
    release: () => {
      isHeld = false
      for (const one of held.splice(0)) one()
    },
    fail: (error: Error | undefined) => (failure = error),
    ports: {
      list: () => answer('list', () => [...world.values()]),
      get: (name: string) => answer(`get ${name}`, () => world.get(name)),
    },
  }
}

describe('a shelf', () => {
  it('reads everything once, and one object when there is doubt about it', async () => {
    const { ports, world, calls } = docker([thing('a', 1), thing('b', 1)])
    const it = shelf({ now: () => 0, ...ports })
    await it.all()
    world.set('a', thing('a', 2))
    it.doubt('a')
    expect((await it.byName('a'))?.version).toBe(2)
    await it.all()
    expect(calls).toEqual(['list', 'get a'])
  })

  it('reads everything again when there are many doubts, or doubt about all', async () => {
    const { ports, calls } = docker([thing('a', 1)])
    const it = shelf({ now: () => 0, ...ports })
    await it.all()
    for (let index = 0; index < 9; index += 1) it.doubt(`x${index}`)
    await it.all()
    it.doubtAll()
    await it.all()
    expect(calls).toEqual(['list', 'list', 'list'])
  })

  it('does not take an answer for a doubt that was raised while it was on its way', async () => {
    const { ports, world, hold, release } = docker([thing('a', 1)])
    const it = shelf({ now: () => 0, ...ports })
    hold()
    const first = it.all()
    it.doubt('a')
    world.set('a', thing('a', 2))
    release()
    expect((await first).map((one) => one.version)).toEqual([2])
  })

  it('changes nothing when a read fails, says so, and still has the doubt', async () => {
    const { ports, world, fail } = docker([thing('a', 1)])
    const it = shelf({ now: () => 0, ...ports })
    await it.all()
    it.doubt('a')
    fail(new Error('no leader'))
    await expect(it.byName('a')).rejects.toThrow('no leader')
    await expect(it.relist()).rejects.toThrow('no leader')
    fail(undefined)
    world.delete('a')
    expect(await it.byName('a')).toBeUndefined()
  })

  it('does not go back to what a manager that lags behind answers', async () => {
    const { ports, world } = docker([thing('a', 5)])
    const it = shelf({ now: () => 0, ...ports })
    await it.all()
    world.set('a', thing('a', 4))
    it.doubt('a')
    expect((await it.byName('a'))?.version).toBe(5)
    await it.relist()
    expect((await it.byName('a'))?.version).toBe(5)
  })

  it('takes an object that was made anew, and older versions after a gap', async () => {
    const { ports, world } = docker([thing('a', 5)])
    const it = shelf({ now: () => 0, ...ports })
    await it.all()
    world.set('a', thing('a', 2, 'another'))
    it.doubt('a')
    expect((await it.byName('a'))?.id).toBe('another')
    world.set('a', thing('a', 1, 'another'))
    it.doubtAll()
    expect((await it.byName('a'))?.version).toBe(1)
  })

  it('believes an absence of a moment ago for who may, until it is in doubt', async () => {
    const { ports, world, calls } = docker()
    let nowMs = 0
    const it = shelf({ now: () => nowMs, ...ports })
    await it.all()
    nowMs = 1_999
    expect(await it.byNameRecently('a', 2_000)).toBeUndefined()
    nowMs = 2_000
    expect(await it.byNameRecently('a', 2_000)).toBeUndefined()
    nowMs = 3_000
    world.set('a', thing('a', 1))
    expect(await it.byNameRecently('a', 2_000)).toBeUndefined()
    expect(await it.byName('a')).toBeDefined()
    expect(calls).toEqual(['list', 'get a', 'get a'])
    it.doubt('b')
    world.set('b', thing('b', 1))
    expect(await it.byNameRecently('b', 2_000)).toBeDefined()
  })

  it('asks by name for what a list of some holds no more, and for what it never held', async () => {
    const { ports, world } = docker([{ ...thing('a', 1), labels: { ours: 'yes' } }])
    const isListed = ({ labels }: Stored): boolean => labels['ours'] === 'yes'
    const it = shelf({ now: () => 0, ...ports, isListed, list: async () => (await ports.list()).filter(isListed) })
    await it.all()
    world.set('a', thing('a', 2))
    world.set('b', thing('b', 1))
    await it.byName('b')
    await it.relist()
    expect((await it.byNameRecently('a', 2_000))?.version).toBe(2)
    expect((await it.byNameRecently('b', 2_000))?.version).toBe(1)
    world.delete('b')
    await it.relist()
    expect(await it.byNameRecently('b', 2_000)).toBeUndefined()
  })

  it("waits for no doubt about what is known as somebody else's", async () => {
    const filed = (name: string, vm: string): Stored => ({ ...thing(name, 1), labels: { 'swarmvirt.vm': vm } })
    const { ports, calls } = docker([filed('a', 'web'), filed('b', 'db')])
    const it = shelf({ now: () => 0, ...ports })
    await it.all()
    it.doubt('b')
    expect(await it.filed('swarmvirt.vm', 'web')).toHaveLength(1)
    expect(calls).toEqual(['list'])
    it.doubt('new')
    await it.filed('swarmvirt.vm', 'web')
    expect(calls).toEqual(['list', 'get new'])
  })

  it('tells who watches of all that it comes to hold', async () => {
    const { ports, world } = docker([thing('a', 1)])
    const it = shelf({ now: () => 0, ...ports })
    const held = new Map<string, Stored>()
    it.watch((name, item) => (item === undefined ? held.delete(name) : held.set(name, item)))
    const step = async (): Promise<void> => {
      const all = await it.all()
      expect([...held.values()].toSorted(byName)).toEqual(all.toSorted(byName))
    }
    await step()
    world.set('a', thing('a', 2))
    it.doubt('a')
    await step()
    it.wrote('b', thing('b', 0), it.expect('b'))
    expect(held.get('b')?.version).toBe(0)
    world.delete('a')
    it.doubtAll()
    await step()
    expect([...held.keys()]).toEqual([])
  })

  it('answers what changed, came and went since it was last read', async () => {
    const { ports, world } = docker([thing('a', 1), thing('b', 1), thing('c', 1)])
    const it = shelf({ now: () => 0, ...ports })
    await it.all()
    world.set('a', thing('a', 2))
    world.delete('b')
    world.set('d', thing('d', 1))
    expect((await it.relist()).changed.map((one) => one.name).toSorted()).toEqual(['a', 'b', 'd'])
    expect(await it.relist()).toEqual({ changed: [], unheard: [] })
  })

  it('answers with the next relist what another list found meanwhile, of which nobody had told', async () => {
    const { ports, world } = docker([thing('a', 1), thing('b', 1)])
    let nowMs = 0
    const it = shelf({ now: () => nowMs, ...ports })
    await it.all()
    world.delete('a')
    world.set('b', thing('b', 2))
    it.doubt('b')
    nowMs = 10_000
    await it.recent(2_000)
    const { changed, unheard } = await it.relist()
    expect(changed.map((one) => one.name)).toEqual(['a'])
    expect(unheard.map((one) => one.name)).toEqual(['a'])
    expect(await it.relist()).toEqual({ changed: [], unheard: [] })
  })

  it('tells what an event named, or what everything was doubted for, from what nobody told of', async () => {
    const { ports, world } = docker([thing('a', 1), thing('b', 1)])
    const it = shelf({ now: () => 0, ...ports })
    await it.relist()
    for (const name of ['a', 'b']) world.set(name, thing(name, 2))
    it.doubt('a')
    expect((await it.relist()).unheard.map((one) => one.name)).toEqual(['b'])
    it.doubtAll()
    world.set('b', thing('b', 3))
    expect(await it.relist()).toEqual({ changed: [thing('b', 3)], unheard: [] })
  })

  it('never gives what is older than a doubt that was raised before, whatever else goes on', async () => {
    type Step = { readonly kind: 'write' | 'doubt' | 'read' | 'relist' | 'doubtAll'; readonly name: string }
    const step = fc.record({
      kind: fc.constantFrom<Step['kind']>('write', 'doubt', 'read', 'relist', 'doubtAll'),
      name: fc.constantFrom('a', 'b'),
    })
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(step, { maxLength: 30 }), async (scheduler, steps) => {
        const world = new Map([
          ['a', thing('a', 1)],
          ['b', thing('b', 1)],
        ])
        const it = shelf({
          now: () => 0,
          list: async () => scheduler.schedule(Promise.resolve([...world.values()])),
          get: async (name) => scheduler.schedule(Promise.resolve(world.get(name))),
        })
        const least = new Map([
          ['a', 0],
          ['b', 0],
        ])
        const reads = steps.map(async ({ kind, name }, index) => {
          await scheduler.schedule(Promise.resolve(), `${index}`)
          if (kind === 'write') world.set(name, thing(name, (world.get(name)?.version ?? 0) + 1))
          if (kind === 'doubt' || kind === 'doubtAll') {
            if (kind === 'doubt') it.doubt(name)
            else it.doubtAll()
            least.set(name, world.get(name)?.version ?? 0)
          }
          if (kind === 'relist') await it.relist()
          if (kind !== 'read') return
          const wanted = least.get(name) ?? 0
          expect((await it.byName(name))?.version).toBeGreaterThanOrEqual(wanted)
        })
        await scheduler.waitFor(Promise.all(reads))
      }),
      { numRuns: 300 },
    )
  })
})

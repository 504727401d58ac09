import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { VirtualMachine } from '../../../src/api/manifest.ts'
import { vmNameOf } from '../../../src/api/names.ts'
import { type TestStore, aStore } from './a-store.ts'
import type { SourceDocument, SourceSnapshot } from '../../../src/api/manifest/source-documents.ts'
import { type VirtualClock, virtualClock } from './virtual-clock.ts'

const graceMs = 60_000
/** Owned in the Swarm, by objects that say nothing more. */
const unmarked = { generation: undefined, source: undefined }

function ok(name: string, file = `${name}.yaml`, line = 1): SourceDocument {
  const vm = { metadata: { name, labels: {}, annotations: {} }, spec: { networks: [] } } as unknown as VirtualMachine
  return { ok: true, origin: { source: 'directory', file, line }, vm, generation: `g-${name}` }
}

function broken(file: string, name?: string, rendered = `error in ${file}`): SourceDocument {
  const issue = { code: 'VM002', path: [], message: 'm', file, line: 1, column: 1, rendered }
  return { ok: false, origin: { source: 'directory', file, line: 1 }, name: vmNameOf(name), issues: [issue] }
}

function read(documents: readonly SourceDocument[], complete = true): SourceSnapshot {
  return { source: 'directory', complete, message: complete ? '' : 'EACCES', documents }
}

interface Bench {
  readonly store: TestStore
  readonly clock: VirtualClock
  /** Reads, and again after the time has passed. */
  readonly after: (ms: number, snapshot: SourceSnapshot) => Promise<void>
  readonly kind: (name: string) => string
}

function bench(): Bench {
  const clock = virtualClock()
  const store = aStore({ sources: 1, removalGraceMs: graceMs }, clock)
  return {
    store,
    clock,
    kind: (name) => store.get(name).kind,
    async after(ms, snapshot) {
      store.fold(snapshot)
      await clock.pass(ms)
      store.fold(snapshot)
    },
  }
}

describe('deleting by absence', () => {
  it('removes a VM whose manifest is gone once the grace is over, and not before', async () => {
    const { store, after, kind } = bench()
    store.fold(read([ok('web'), ok('db')]))
    await after(graceMs - 1, read([ok('db')]))
    expect(kind('web')).toBe('unknown')
    await after(1, read([ok('db')]))
    expect([kind('web'), kind('db')]).toEqual(['removed', 'present'])
  })

  it('says when the VM will be removed', async () => {
    const { store, after } = bench()
    store.fold(read([ok('web'), ok('db')]))
    await after(graceMs / 2, read([ok('db')]))
    const { message } = store.valid('web')
    const [since = '', end = ''] = message.match(/\d{4}-[\d-]+T[\d:.]+Z/g) ?? []
    expect(message).toBe(`in no manifest since ${since}; will be removed at ${end} unless the manifest is restored`)
    expect(Date.parse(end) - Date.parse(since)).toBe(graceMs)
  })

  it.each([3_600_000, -3_600_000])('waits for the grace and no longer where the date is set by %d ms meanwhile', async (jumpMs) => {
    const { clock, store, after, kind } = bench()
    store.fold(read([ok('web'), ok('db')]))
    store.fold(read([ok('db')]))
    clock.jump(jumpMs)
    await after(graceMs - 1, read([ok('db')]))
    expect(kind('web')).toBe('unknown')
    await after(1, read([ok('db')]))
    expect(kind('web')).toBe('removed')
  })

  it('shows since when a manifest is gone by the current system time', async () => {
    const { clock, store } = bench()
    store.fold(read([ok('web')]))
    store.fold(read([]))
    await clock.pass(5_000)
    clock.jump(Date.parse('2026-01-01T00:00:05Z') - clock.now())
    expect(store.valid('web').message).toContain('since 2026-01-01T00:00:00Z')
  })

  it('removes the last VM of a source as well: an empty directory is a valid read', async () => {
    const { store, after, kind } = bench()
    store.fold(read([ok('web')]))
    await after(graceMs, read([]))
    expect(kind('web')).toBe('removed')
  })

  it('takes a manifest that returns during the grace as if nothing had been', async () => {
    const { store, after, kind } = bench()
    store.fold(read([ok('web')]))
    await after(graceMs - 1, read([]))
    store.fold(read([ok('web')]))
    await after(graceMs - 1, read([]))
    expect(kind('web')).toBe('unknown')
  })

  it('takes a manifest that returns after the removal', async () => {
    const { store, after, kind } = bench()
    store.fold(read([ok('web')]))
    await after(graceMs, read([]))
    store.fold(read([ok('web')]))
    expect(kind('web')).toBe('present')
  })

  it('keeps every VM while the directory is missing, however long', async () => {
    const { store, after, kind } = bench()
    store.fold(read([ok('web')]))
    await after(10 * graceMs, read([], false))
    expect(kind('web')).toBe('present')
  })

  it('restarts the grace period after an incomplete read', async () => {
    const { store, after, kind } = bench()
    store.fold(read([ok('web')]))
    await after(graceMs - 1, read([]))
    store.fold(read([], false))
    await after(graceMs - 1, read([]))
    expect(kind('web')).toBe('unknown')
    await after(1, read([]))
    expect(kind('web')).toBe('removed')
  })

  it('does not remove what moved to another file, broken documents beside it or not', async () => {
    const { store, after, kind } = bench()
    store.fold(read([ok('web', 'a.yaml')]))
    await after(10 * graceMs, read([ok('web', 'b.yaml'), broken('c.yaml', 'other')]))
    expect(kind('web')).toBe('present')
  })

  it('keeps a VM that may have moved into a file that broke at the same time', async () => {
    const { store, clock, after, kind } = bench()
    store.fold(read([ok('web', 'a.yaml'), ok('db', 'b.yaml')]))
    await clock.pass(1)
    await after(10 * graceMs, read([broken('b.yaml')]))
    expect([kind('web'), kind('db')]).toEqual(['present', 'present'])
  })

  it('removes a VM beside a file that was broken long before, and has not changed', async () => {
    const { store, clock, after, kind } = bench()
    store.fold(read([ok('web', 'a.yaml'), broken('b.yaml')]))
    await clock.pass(1_000)
    store.fold(read([ok('web', 'a.yaml'), broken('b.yaml')]))
    await after(graceMs, read([broken('b.yaml')]))
    expect(kind('web')).toBe('removed')
  })

  it('removes a VM that was seen beside a broken file in one slow read', async () => {
    const { store, clock, after, kind } = bench()
    const beganMs = clock.elapsed()
    await clock.pass(50)
    store.fold(read([ok('web', 'a.yaml'), broken('b.yaml')]), { kind: 'whole', beganMs })
    await after(graceMs, read([broken('b.yaml')]))
    expect(kind('web')).toBe('removed')
  })

  it('keeps a VM that may have moved into a file that was found broken when that file alone was read', async () => {
    const { store, clock, after, kind } = bench()
    store.fold(read([ok('web', 'a.yaml'), ok('db', 'b.yaml')]))
    await clock.pass(1_000)
    store.fold(read([ok('web', 'a.yaml'), broken('b.yaml')]), { kind: 'hinted' })
    await after(10 * graceMs, read([broken('b.yaml')]))
    expect(kind('web')).toBe('present')
  })

  it('is not judged by an old read: without a fresh one nothing is removed, however long', async () => {
    const { store, clock, kind } = bench()
    store.fold(read([ok('web')]))
    store.fold(read([]))
    await clock.pass(10 * graceMs)
    store.setOwnedVms(new Map([['web', unmarked]]))
    expect(kind('web')).toBe('unknown')
    store.fold(read([]))
    expect(kind('web')).toBe('removed')
  })

  it('forgets a removed VM only on request', async () => {
    const { store, after, kind } = bench()
    store.fold(read([ok('web')]))
    await after(graceMs, read([]))
    store.fold(read([]))
    expect([kind('web'), store.known()]).toEqual(['removed', ['web']])
    store.forget('web')
    expect(store.known()).toEqual([])
  })
})

describe('broken manifests', () => {
  it('keep the last good state and show the error', () => {
    const { store } = bench()
    store.fold(read([ok('web')]))
    store.fold(read([broken('web.yaml', 'web', 'error[VM012]: unknown field "cpus"')]))
    expect(store.get('web')).toMatchObject({ kind: 'present', generation: 'g-web' })
    expect(store.valid('web')).toMatchObject({ status: 'False', message: expect.stringContaining('unknown field "cpus"') })
  })

  it('keep every VM that was last seen in a file whose names cannot be read', async () => {
    const { store, after, kind } = bench()
    store.fold(read([ok('web', 'all.yaml', 1), ok('db', 'all.yaml', 20)]))
    await after(10 * graceMs, read([broken('all.yaml')]))
    expect([kind('web'), kind('db')]).toEqual(['present', 'present'])
    expect(store.valid('db').status).toBe('False')
  })

  it('are shown and acted on in nothing where no good state was ever seen', () => {
    const { store } = bench()
    store.fold(read([broken('web.yaml', 'web')]))
    expect([store.get('web').kind, store.valid('web').status]).toEqual(['unknown', 'False'])
  })

  it('leave no trace when they are deleted again', () => {
    const { store } = bench()
    store.fold(read([broken('web.yaml', 'web')]))
    store.fold(read([]))
    expect(store.known()).toEqual([])
  })

  it('do not touch the other VMs', () => {
    const { store } = bench()
    store.fold(read([ok('db')]))
    expect(store.fold(read([ok('db'), broken('web.yaml')]))).toEqual([])
  })
})

/** The same VM with another spec. */
function edited(name: string, file: string, generation: string, line = 1): SourceDocument {
  return { ...ok(name, file, line), generation } as SourceDocument
}

describe('names that are claimed twice', () => {
  it('belong to the first by file and line where nobody holds them, and the second is an issue', () => {
    const { store } = bench()
    store.setOwnedVms(new Map())
    store.fold(read([edited('web', 'b.yaml', 'second'), ok('web', 'a.yaml', 9)]))
    expect(store.get('web')).toMatchObject({ generation: 'g-web' })
    expect(store.state().issues).toMatchObject([
      { code: 'VM030', file: 'b.yaml', message: 'VM "web" is declared twice; a.yaml:9 keeps it' },
    ])
  })

  it('stay with the file that holds them when another one comes that sorts earlier', () => {
    const { store } = bench()
    store.fold(read([ok('web', 'b.yaml')]))
    const before = store.get('web')
    store.fold(read([edited('web', 'a.yaml', 'other'), ok('web', 'b.yaml')]))
    expect(store.get('web')).toEqual(before)
    expect(store.valid('web')).toMatchObject({
      status: 'True',
      message: 'also declared in a.yaml:1, which is ignored: b.yaml:1 keeps the VM',
    })
    expect(store.state().issues).toMatchObject([{ file: 'a.yaml', message: 'VM "web" is declared twice; b.yaml:1 keeps it' }])
  })

  it('stay with the document that holds them when another one is written above it in the same file', () => {
    const { store } = bench()
    store.fold(read([ok('web', 'a.yaml', 1)]))
    store.fold(read([edited('web', 'a.yaml', 'other', 1), ok('web', 'a.yaml', 20)]))
    expect(store.get('web')).toMatchObject({ generation: 'g-web' })
  })

  it('follow the edits of their holder', () => {
    const { store } = bench()
    store.fold(read([ok('web', 'b.yaml')]))
    store.fold(read([edited('web', 'a.yaml', 'other'), edited('web', 'b.yaml', 'edited')]))
    expect(store.get('web')).toMatchObject({ generation: 'edited' })
  })

  it('stay as they are while their holder is broken, named or not', () => {
    const { store } = bench()
    store.fold(read([ok('web', 'b.yaml')]))
    for (const holder of [broken('b.yaml', 'web'), broken('b.yaml')]) {
      store.fold(read([edited('web', 'a.yaml', 'other'), holder]))
      expect(store.get('web')).toMatchObject({ generation: 'g-web' })
      expect(store.valid('web').status).toBe('False')
    }
  })

  it('stay as they are while their holder may be in what could not be read', () => {
    const { store } = bench()
    store.fold(read([ok('web', 'b.yaml')]))
    store.fold(read([edited('web', 'a.yaml', 'other')], false))
    expect(store.get('web')).toMatchObject({ generation: 'g-web' })
    store.fold(read([edited('web', 'a.yaml', 'other')]))
    expect(store.get('web')).toMatchObject({ generation: 'other' })
  })

  it('go to the other one when their holder gives them up', () => {
    const { store } = bench()
    store.fold(read([ok('web', 'b.yaml')]))
    store.fold(read([edited('web', 'a.yaml', 'other')]))
    expect(store.get('web')).toMatchObject({ generation: 'other' })
    expect(store.state().issues).toEqual([])
  })

  it('belong after a restart to the one that the service was made from, and to nobody before the Swarm was read', () => {
    const { store, kind } = bench()
    const both = read([edited('web', 'a.yaml', 'other'), ok('web', 'b.yaml')])
    store.fold(both)
    expect(kind('web')).toBe('unknown')
    expect(store.setOwnedVms(new Map([['web', { ...unmarked, generation: 'g-web' }]]))).toEqual(['web'])
    expect(store.get('web')).toMatchObject({ kind: 'present', generation: 'g-web' })
    store.setOwnedVms(new Map([['web', { ...unmarked, generation: 'other' }]]))
    store.fold(both)
    expect(store.get('web')).toMatchObject({ generation: 'g-web' })
  })

  it('belong after a restart to the first where none is what the service was made from', () => {
    const { store } = bench()
    store.setOwnedVms(new Map([['web', { ...unmarked, generation: 'older than both' }]]))
    store.fold(read([edited('web', 'b.yaml', 'other'), ok('web', 'a.yaml')]))
    expect(store.get('web')).toMatchObject({ generation: 'g-web' })
  })
})

describe('after a restart of the controller', () => {
  it('nothing is removed before a complete read', async () => {
    const { store, clock, after, kind } = bench()
    store.setOwnedVms(new Map([['web', unmarked]]))
    await clock.pass(10 * graceMs)
    store.setOwnedVms(new Map([['web', unmarked]]))
    await after(10 * graceMs, read([], false))
    expect(kind('web')).toBe('unknown')
  })

  it('a VM that only its service knows gets the grace from the first complete read', async () => {
    const { store, clock, after, kind } = bench()
    store.setOwnedVms(new Map([['web', unmarked]]))
    await clock.pass(10 * graceMs)
    await after(graceMs - 1, read([ok('db')]))
    expect(kind('web')).toBe('unknown')
    await after(1, read([ok('db')]))
    expect(kind('web')).toBe('removed')
  })

  it('any broken file might hold a VM that nobody has seen yet', async () => {
    const { store, after, kind } = bench()
    store.setOwnedVms(new Map([['web', unmarked]]))
    await after(10 * graceMs, read([broken('all.yaml')]))
    expect(store.get('web')).toMatchObject({ kind: 'unknown', message: expect.stringContaining('all.yaml') })
    await after(graceMs, read([]))
    expect(kind('web')).toBe('removed')
  })
})

describe('too many at once', () => {
  const ten = Array.from({ length: 10 }, (_, index) => ok(`vm-${index}`))

  it('are not removed, and the source says so', async () => {
    const { store, after, kind } = bench()
    store.fold(read(ten))
    await after(10 * graceMs, read(ten.slice(0, 6)))
    expect(kind('vm-9')).toBe('unknown')
    expect(store.state().stalled).toContain('4 of 10')
  })

  it('are three of any number, or less than a third of many', async () => {
    const three = bench()
    three.store.fold(read(ten.slice(0, 4)))
    await three.after(graceMs, read(ten.slice(0, 1)))
    expect(three.kind('vm-3')).toBe('removed')
    const share = bench()
    const twenty = Array.from({ length: 20 }, (_, index) => ok(`vm-${index}`))
    share.store.fold(read(twenty))
    await share.after(graceMs, read(twenty.slice(0, 14)))
    expect(share.kind('vm-19')).toBe('removed')
  })

  it('are all of a source, from two on: it was emptied, or is not there', async () => {
    for (const count of [2, 3]) {
      const { store, after, kind } = bench()
      store.fold(read(ten.slice(0, count)))
      await after(10 * graceMs, read([]))
      expect([kind('vm-0'), store.valid('vm-1').reason]).toEqual(['unknown', 'RemovalWithheld'])
      expect(store.state().stalled).toContain(`all ${count} VMs of source directory`)
      await after(graceMs, read(ten.slice(1, count)))
      expect(kind('vm-0')).toBe('removed')
    }
  })

  it('are not one after the other, down to the last', async () => {
    const { store, after, kind } = bench()
    store.fold(read(ten.slice(0, 3)))
    for (const left of [2, 1, 0]) {
      await after(graceMs, read(ten.slice(0, left)))
      expect(kind(`vm-${left}`)).toBe('removed')
    }
  })

  it('are all of a source although another one has VMs, whose own go on being removed', async () => {
    const clock = virtualClock()
    const store = aStore({ sources: 2, removalGraceMs: graceMs }, clock)
    store.setOwnedVms(new Map())
    const config = (name: string): SourceDocument => ({ ...ok(name), origin: { source: 'configs', file: name, line: 1 } })
    const fold = (directory: readonly SourceDocument[], configs: readonly SourceDocument[]): void => {
      store.fold(read(directory))
      store.fold({ ...read(configs), source: 'configs' })
    }
    fold(ten.slice(0, 2), ['a', 'b', 'c'].map(config))
    fold([], [config('a'), config('b')])
    await clock.pass(graceMs)
    fold([], [config('a'), config('b')])
    expect(['vm-0', 'vm-1', 'a', 'c'].map((name) => store.get(name).kind)).toEqual(['unknown', 'unknown', 'present', 'removed'])
  })

  it('are all of a source that a controller knows from the Swarm alone', async () => {
    const { store, after, kind } = bench()
    store.setOwnedVms(new Map(['vm-0', 'vm-1'].map((name) => [name, { generation: 'g', source: 'directory' }])))
    await after(10 * graceMs, read([]))
    expect([kind('vm-0'), store.valid('vm-0').reason]).toEqual(['unknown', 'RemovalWithheld'])
    store.confirmRemoval(['vm-0', 'vm-1'])
    await after(graceMs, read([]))
    expect([kind('vm-0'), kind('vm-1')]).toEqual(['removed', 'removed'])
  })

  it('are counted together when they vanish one after the other within the grace', async () => {
    const { store, clock, kind } = bench()
    for (let left = 10; left >= 5; left -= 1) {
      store.fold(read(ten.slice(0, left)))
      await clock.pass(15_000)
    }
    expect(['vm-5', 'vm-6', 'vm-7', 'vm-8', 'vm-9'].map(kind)).toEqual(Array(5).fill('unknown'))
  })

  it('get the whole grace again when manifests come back', async () => {
    const { store, after, kind } = bench()
    store.fold(read(ten))
    await after(10 * graceMs, read(ten.slice(0, 6)))
    await after(graceMs - 1, read(ten.slice(0, 7)))
    expect(kind('vm-9')).toBe('unknown')
    await after(1, read(ten.slice(0, 7)))
    expect(kind('vm-9')).toBe('removed')
  })
})

describe('a confirmed removal', () => {
  const ten = Array.from({ length: 10 }, (_, index) => ok(`vm-${index}`))
  const gone = ['vm-6', 'vm-7', 'vm-8', 'vm-9']
  /** The removal of four of ten is blocked. */
  async function withheld(): Promise<Bench> {
    const on = bench()
    on.store.fold(read(ten))
    await on.after(10 * graceMs, read(ten.slice(0, 6)))
    return on
  }
  const kinds = ({ kind }: Bench, names = gone) => names.map(kind)

  it('is one when the grace from the confirmation is over, by a read that is not older', async () => {
    const on = await withheld()
    expect(on.store.confirmRemoval(gone)?.toSorted()).toEqual(gone)
    expect([on.store.state().stalled, on.store.nextDueMs()]).toEqual([undefined, on.clock.elapsed() + graceMs])
    await on.after(graceMs - 1, read(ten.slice(0, 6)))
    expect(kinds(on)).toEqual(Array(4).fill('unknown'))
    expect(on.store.valid('vm-9')).toMatchObject({ reason: 'Absent', message: expect.stringContaining('confirmed') as string })
    await on.clock.pass(graceMs)
    on.store.setOwnedVms(new Map())
    expect(kinds(on)).toEqual(Array(4).fill('unknown'))
    on.store.fold(read(ten.slice(0, 6)))
    expect(kinds(on)).toEqual(Array(4).fill('removed'))
  })

  it.each([[['vm-6', 'vm-7', 'vm-8']], [[...gone, 'vm-0']], [['vm-6', 'vm-7', 'vm-8', 'vm-8']], [[]]])(
    'is rejected if the names are not the blocked ones: %j',
    async (names) => {
      const on = await withheld()
      expect(on.store.confirmRemoval(names)).toBeUndefined()
      await on.after(10 * graceMs, read(ten.slice(0, 6)))
      expect(kinds(on)).toEqual(Array(4).fill('unknown'))
    },
  )

  it('spares what comes back meanwhile, and does not cover its next absence', async () => {
    const on = await withheld()
    on.store.confirmRemoval(gone)
    await on.clock.pass(graceMs - 1)
    on.store.fold(read(ten))
    expect(kinds(on)).toEqual(Array(4).fill('present'))
    await on.after(10 * graceMs, read(ten.slice(0, 6)))
    expect([on.kind('vm-9'), on.store.state().stalled]).toEqual(['unknown', expect.stringContaining('4 of 10')])
  })

  it('covers nothing that vanishes after it: that is judged as if the confirmed were gone already', async () => {
    const on = await withheld()
    on.store.confirmRemoval(gone)
    await on.after(10 * graceMs, read(ten.slice(0, 2)))
    expect(kinds(on)).toEqual(Array(4).fill('removed'))
    expect(kinds(on, ['vm-2', 'vm-3', 'vm-4', 'vm-5'])).toEqual(Array(4).fill('unknown'))
    expect(on.store.state().stalled).toContain('4 of 6')
  })

  it('waits while a source cannot be read, and then for the whole grace', async () => {
    const on = await withheld()
    on.store.confirmRemoval(gone)
    await on.after(10 * graceMs, read([], false))
    await on.after(graceMs - 1, read(ten.slice(0, 6)))
    expect(kinds(on)).toEqual(Array(4).fill('unknown'))
    await on.after(1, read(ten.slice(0, 6)))
    expect(kinds(on)).toEqual(Array(4).fill('removed'))
  })
})

it('never removes more at once than the guard allows without a confirmation of exactly these names: any history', async () => {
  const names = Array.from({ length: 6 }, (_, index) => `vm-${index}`)
  const step = fc.record({
    present: fc.subarray(names),
    complete: fc.oneof({ arbitrary: fc.constant(true), weight: 8 }, { arbitrary: fc.constant(false), weight: 1 }),
    waitMs: fc.constantFrom(0, 30_000, 60_000),
    confirm: fc.constantFrom('none', 'withheld', 'stale'),
  })
  const history = fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const { store, clock, kind } = bench()
      store.fold(read(names.map((name) => ok(name))))
      const word = new Map<string, number>()
      let stale: readonly string[] = []
      for (const { present, complete, waitMs, confirm } of steps) {
        await clock.pass(waitMs)
        const before = names.filter((name) => kind(name) !== 'removed')
        store.fold(
          read(
            present.map((name) => ok(name)),
            complete,
          ),
        )
        for (const name of present) word.delete(name)
        const removed = before.filter((name) => kind(name) === 'removed')
        const unconfirmed = removed.filter((name) => !word.has(name))
        if (unconfirmed.length > 3) return false
        if (unconfirmed.length > 1 && names.every((name) => kind(name) === 'removed')) return false
        if (removed.some((name) => clock.elapsed() - (word.get(name) ?? 0) < graceMs)) return false
        const withheld = names.filter((name) => store.valid(name).reason === 'RemovalWithheld')
        const said = confirm === 'withheld' ? withheld : confirm === 'stale' ? stale : []
        const isExact = said.length === withheld.length && said.every((name) => withheld.includes(name))
        if (confirm !== 'none' && (store.confirmRemoval(said) !== undefined) !== isExact) return false
        if (confirm !== 'none' && isExact) for (const name of said) word.set(name, clock.elapsed())
        stale = withheld
      }
      return true
    }),
    { numRuns: 300 },
  )
  await expect(history).resolves.toBeUndefined()
})

it('never removes a VM that was there, or might have been there, within the grace: any history', async () => {
  const names = ['a', 'b', 'c']
  const none = { arbitrary: fc.constant(undefined), weight: 6 }
  const step = fc.record({
    present: fc.subarray(names),
    brokenFile: fc.oneof(none, { arbitrary: fc.constantFrom('a.yaml', 'x.yaml'), weight: 1 }),
    complete: fc.oneof({ arbitrary: fc.constant(true), weight: 8 }, { arbitrary: fc.constant(false), weight: 1 }),
    waitMs: fc.constantFrom(0, 1_000, 30_000, 59_999, 60_000),
  })
  const history = fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const { store, clock, kind } = bench()
      const held = new Map<string, number>()
      for (const { present, brokenFile, complete, waitMs } of steps) {
        await clock.pass(waitMs)
        const documents = present.filter((name) => `${name}.yaml` !== brokenFile).map((name) => ok(name))
        const removed = names.filter((name) => kind(name) === 'removed')
        store.fold(read(brokenFile === undefined ? documents : [...documents, broken(brokenFile)], complete))
        for (const name of names.filter((one) => !removed.includes(one))) {
          const seen = present.includes(name) && `${name}.yaml` !== brokenFile
          if (seen || !complete || brokenFile === `${name}.yaml`) held.set(name, clock.elapsed())
          const absentMs = clock.elapsed() - (held.get(name) ?? clock.elapsed())
          const wrong = seen ? kind(name) !== 'present' : kind(name) === 'removed' && absentMs < graceMs
          if (wrong) return false
        }
      }
      return true
    }),
    { numRuns: 300 },
  )
  await expect(history).resolves.toBeUndefined()
})

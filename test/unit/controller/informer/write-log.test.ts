import { describe, expect, it } from 'vitest'
import { writeLog } from '../../../../src/controller/informer/write-log.ts'
import { virtualClock } from '../virtual-clock.ts'

const update = { key: 'a', action: 'update', id: 'id-a' } as const
const create = { key: 'a', action: 'create', id: undefined } as const
const event = { key: 'a', action: 'update', id: 'id-a' }

/** A read that answers with these ids. */
const idsOf = (ids: readonly string[]) => () => Promise.resolve(ids)
const includes =
  (ids: readonly string[]) =>
  ({ id = '' }: { readonly id: string | undefined }): boolean =>
    ids.includes(id)

describe('the echo of a write of ours', () => {
  it('is the next event of its action and id, before the answer or after it, and only one', () => {
    const writes = writeLog(virtualClock())
    const first = writes.begin(update)
    expect(writes.isEcho(event)).toBe(true)
    expect(writes.isEcho(event)).toBe(false)
    writes.succeeded(first, 'id-a')
    expect(writes.isEcho(event)).toBe(false)
    const second = writes.begin(update)
    writes.succeeded(second, 'id-a')
    expect(writes.isEcho(event)).toBe(true)
    expect(writes.isEcho(event)).toBe(false)
  })

  it('is no event of another object, action or id', () => {
    const writes = writeLog(virtualClock())
    writes.begin(update)
    expect(writes.isEcho({ ...event, key: 'b' })).toBe(false)
    expect(writes.isEcho({ ...event, action: 'remove' })).toBe(false)
    expect(writes.isEcho({ ...event, id: 'another' })).toBe(false)
    expect(writes.isEcho(event)).toBe(true)
  })

  it('may arrive before the id of a new object is known', () => {
    const writes = writeLog(virtualClock())
    const write = writes.begin(create)
    expect(writes.isEcho({ ...event, action: 'create' })).toBe(true)
    writes.succeeded(write, 'id-a')
    const other = writes.begin({ ...create, key: 'b' })
    writes.succeeded(other, 'id-b')
    expect(writes.isEcho({ key: 'b', action: 'create', id: 'another' })).toBe(false)
  })

  it('is not awaited after a write that failed, nor for longer than two seconds', async () => {
    const clock = virtualClock()
    const writes = writeLog(clock)
    writes.failed(writes.begin(update))
    expect(writes.isEcho(event)).toBe(false)
    writes.succeeded(writes.begin(update), 'id-a')
    await clock.pass(2_000)
    expect(writes.isEcho(event)).toBe(false)
  })

  it('is still awaited when an earlier write of the object fails, or was long ago', async () => {
    const clock = virtualClock()
    const writes = writeLog(clock)
    const [failing, long] = [writes.begin(update), writes.begin(update)]
    writes.failed(failing)
    writes.succeeded(long, 'id-a')
    await clock.pass(1_999)
    writes.succeeded(writes.begin(update), 'id-a')
    await clock.pass(1)
    expect(writes.isEcho(event)).toBe(true)
  })
})

it('a change is expected while a write of ours is in flight', () => {
  const writes = writeLog(virtualClock())
  const write = writes.begin(update)
  expect([writes.isPending('a'), writes.isPending('b')]).toEqual([true, false])
  writes.isEcho(event)
  expect(writes.isPending('a')).toBe(true)
  writes.succeeded(write, 'id-a')
  expect(writes.isPending('a')).toBe(false)
  writes.failed(writes.begin(update))
  expect(writes.isPending('a')).toBe(false)
})

describe('an object that was created here', () => {
  it('must be in every answer for three seconds', async () => {
    const clock = virtualClock()
    const writes = writeLog(clock)
    writes.succeeded(writes.begin(create), 'id-a')
    await expect(writes.readYourWrites(idsOf([]), includes)).rejects.toMatchObject({ kind: 'Unavailable' })
    expect(await writes.readYourWrites(idsOf(['id-a']), includes)).toEqual(['id-a'])
    await clock.pass(3_000)
    expect(await writes.readYourWrites(idsOf([]), includes)).toEqual([])
  })

  it('need not be in the answer to an earlier request, nor exist after its removal', async () => {
    const writes = writeLog(virtualClock())
    const held = () => {
      let release = (): void => undefined
      const answer = new Promise<readonly string[]>((resolve) => (release = () => resolve([])))
      return { read: writes.readYourWrites(() => answer, includes), release: () => release() }
    }
    const before = held()
    writes.succeeded(writes.begin(create), 'id-a')
    before.release()
    expect(await before.read).toEqual([])
    const during = held()
    writes.removed('id-a')
    during.release()
    expect(await during.read).toEqual([])
    expect(await writes.readYourWrites(idsOf([]), includes)).toEqual([])
  })

  it('need not exist if it was only updated', async () => {
    const writes = writeLog(virtualClock())
    writes.succeeded(writes.begin(update), 'id-a')
    expect(await writes.readYourWrites(idsOf([]), includes)).toEqual([])
  })
})

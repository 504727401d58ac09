import { expect, it } from 'vitest'
import { isSame, store, type Stored, writtenOn } from '../../../../src/controller/informer/store.ts'

interface Thing extends Stored {
  readonly name: string
}

function thing(name: string, labels: Record<string, string> = {}, id = `id-${name}`, version = 1): Thing {
  return { id, version, name, labels }
}

function things(...all: readonly Thing[]) {
  const made = store<Thing>(({ name }) => name)
  for (const one of all) made.put(one)
  return made
}

const names = (listed: readonly Thing[]): string[] => listed.map(({ name }) => name)

it('selects by label as Docker does, indexed or not', () => {
  const held = things(thing('a', { 'swarmvirt.vm': 'x', other: '1' }), thing('b', { 'swarmvirt.vm': 'y', other: 'k=v' }), thing('c'))
  expect(names(held.list())).toEqual(['a', 'b', 'c'])
  expect(names(held.list('swarmvirt.vm=x'))).toEqual(['a'])
  expect(names(held.list('swarmvirt.vm'))).toEqual(['a', 'b'])
  expect(names(held.list('other=k=v'))).toEqual(['b'])
  expect(names(held.list('other'))).toEqual(['a', 'b'])
  expect(names(held.list('swarmvirt.vm=z'))).toEqual([])
})

it('moves an object to the index of its new label, and to its new id', () => {
  const held = things(thing('a', { 'swarmvirt.vm': 'x' }))
  held.put(thing('a', { 'swarmvirt.vm': 'y' }, 'another'))
  expect(names(held.list('swarmvirt.vm=x'))).toEqual([])
  expect(names(held.list('swarmvirt.vm=y'))).toEqual(['a'])
  expect([held.keyOfId('id-a'), held.keyOfId('another')]).toEqual([undefined, 'a'])
  held.remove('a')
  expect([held.list(), held.list('swarmvirt.vm=y'), held.keyOfId('another'), held.get('a')]).toEqual([[], [], undefined, undefined])
})

it('lists the same array until something changes', () => {
  const [a, b] = [thing('a', { 'swarmvirt.vm': 'x' }), thing('b')]
  const held = things(a, b)
  const [all, some] = [held.list(), held.list('swarmvirt.vm=x')]
  held.put(a)
  held.remove('c')
  expect(held.list()).toBe(all)
  expect(held.list('swarmvirt.vm=x')).toBe(some)
  held.put(thing('b'))
  expect(held.list()).not.toBe(all)
})

it('calls subscribers for each change, and for nothing else', () => {
  const a = thing('a')
  const held = things()
  const calls: unknown[] = []
  held.subscribe((key, item) => calls.push([key, item]))
  held.put(a)
  held.put(a)
  held.remove('a')
  held.remove('a')
  expect(calls).toEqual([
    ['a', a],
    ['a', undefined],
  ])
})

it('compares by id and version, and by labels where the version is not known', () => {
  const [one, labelled] = [thing('a', {}, 'id', 2), thing('a', { x: '1' }, 'id', 3)]
  expect(isSame(one, thing('a', { x: '1' }, 'id', 2))).toBe(true)
  expect(isSame(one, thing('a', {}, 'id', 3))).toBe(false)
  expect(isSame(one, thing('a', {}, 'another', 2))).toBe(false)
  expect(isSame(undefined, one)).toBe(false)
  expect(isSame({ ...labelled, version: writtenOn(2) }, labelled)).toBe(true)
  expect(isSame({ ...labelled, version: writtenOn(2) }, thing('a', {}, 'id', 3))).toBe(false)
  expect(isSame({ ...one, version: writtenOn(2) }, labelled)).toBe(false)
})

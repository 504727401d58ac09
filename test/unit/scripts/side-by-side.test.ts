import { expect, it } from 'vitest'
import { sideBySide } from '../../../scripts/side-by-side.ts'
import type { Suite } from '../../../scripts/suites.ts'

function aSuite(name: string, ...after: readonly string[]): Suite {
  return { name, what: 'a test', expectedMinutes: 1, labs: [], after, command: [], counts: 'lines' }
}

/** Runs suites that end in the order of `ends`, and gives what ran when each of them began. */
async function begun(suites: readonly Suite[], atOnce: number, ends: readonly string[]): Promise<readonly string[]> {
  const running = new Map<string, PromiseWithResolvers<void>>()
  const seen: string[] = []
  const done = sideBySide(suites, atOnce, ({ name }) => {
    const end = Promise.withResolvers<void>()
    running.set(name, end)
    seen.push([...running.keys()].join(' '))
    return end.promise
  })
  for (const name of ends) {
    await new Promise(setImmediate)
    running.get(name)?.resolve()
    running.delete(name)
  }
  await done
  return seen
}

it('runs so many suites at the same time, in their order', async () => {
  const seen = await begun([aSuite('a'), aSuite('b'), aSuite('c'), aSuite('d')], 2, ['b', 'c', 'a', 'd'])
  expect(seen).toEqual(['a', 'a b', 'a c', 'a d'])
})

it('starts a suite that needs another one when that one is over, and the next ones meanwhile', async () => {
  const seen = await begun([aSuite('lab'), aSuite('e2e', 'lab'), aSuite('unit')], 2, ['lab', 'unit', 'e2e'])
  expect(seen).toEqual(['lab', 'lab unit', 'unit e2e'])
})

it('treats a suite that was not requested as done', async () => {
  expect(await begun([aSuite('e2e', 'lab')], 2, ['e2e'])).toEqual(['e2e'])
})

it('runs one after the other where only one may run', async () => {
  expect(await begun([aSuite('a'), aSuite('b')], 1, ['a', 'b'])).toEqual(['a', 'b'])
})

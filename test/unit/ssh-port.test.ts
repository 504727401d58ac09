import fc from 'fast-check'
import { expect, test } from 'vitest'
import { chooseSshPort } from '../../src/api/ssh-port.ts'
import type { VmName } from '../../src/api/names.ts'
import { aVmName } from '../support/branded.ts'

const names = (count: number): VmName[] => Array.from({ length: count }, (_, index) => aVmName(`vm-${index}`))

/** Each VM of the list gets its port in turn, as their records are written. */
function inOrder(order: readonly VmName[], taken: ReadonlySet<number> = new Set()): Map<VmName, number | undefined> {
  const given = new Map<VmName, number | undefined>()
  for (const vm of order) {
    const waiting = order.filter((one) => !given.has(one))
    const used = [...given.values()].filter((port) => port !== undefined)
    given.set(vm, chooseSshPort(vm, waiting, new Set([...taken, ...used])))
  }
  return given
}

test('a VM alone gets 10022 plus its own number below a hundred', () => {
  const ports = names(50).map((vm) => chooseSshPort(vm, [vm], new Set()))
  expect(ports.every((port) => port !== undefined && port >= 10_022 && port < 10_122)).toBe(true)
  expect(new Set(ports).size).toBeGreaterThan(25)
})

test('150 VMs get 150 ports, the first hundred before any other', () => {
  const ports = [...inOrder(names(150)).values()].toSorted((a = 0, b = 0) => a - b)
  expect(ports).toEqual(Array.from({ length: 150 }, (_, index) => 10_022 + index))
})

test('each VM gets the same port in any order of requests', () => {
  const all = names(120)
  const expected = inOrder(all)
  fc.assert(
    fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (order) => {
      expect(Object.fromEntries(inOrder(order))).toEqual(Object.fromEntries(expected))
    }),
    { numRuns: 20 },
  )
})

test('a port that somebody has is never given', () => {
  const [vm = aVmName('vm')] = names(1)
  const own = chooseSshPort(vm, [], new Set()) ?? 0
  const next = chooseSshPort(vm, [], new Set([own]))
  expect(next).not.toBe(own)
  const hundred = Array.from({ length: 100 }, (_, index) => 10_022 + index)
  expect(chooseSshPort(vm, [], new Set(hundred))).toBe(10_122)
})

import { expect, it } from 'vitest'
import { closest } from '../../src/api/closest.ts'

it.each([
  ['Reday', 'Ready'],
  ['ready', 'Ready'],
  ['Haltd', 'Halted'],
  ['Hlated', 'Halted'],
  ['Running!', 'Running'],
])('takes %s for %s', (wrong, meant) => {
  expect(closest(wrong, ['Ready', 'Halted', 'Running'])).toBe(meant)
})

it.each(['', 'x', 'Stopped', 'r'.repeat(200)])('takes %j for nothing', (wrong) => {
  expect(closest(wrong, ['Ready', 'Halted', 'Running'])).toBeUndefined()
})

import { expect, test } from 'vitest'
import { parseControlKeys } from '../../../src/api/control-key.ts'

const hex = 'ab'.repeat(32)

test('The first key is the one that clients send, and comments and empty lines count for nothing', () => {
  expect(parseControlKeys(`# from the operator\n\nnew:${hex}\r\nold:${hex.toUpperCase()}\n`)).toEqual({
    ok: true,
    keys: [
      { id: 'new', hex },
      { id: 'old', hex },
    ],
  })
})

test.each([
  ['', 'no key'],
  ['# nothing', 'no key'],
  [hex, 'line 1: expected ID:HEX64'],
  [`k1:${hex}\nK2:${hex}`, 'line 2: an id is'],
  [`k1:${hex.slice(1)}`, 'this one has 63'],
  [`k1:${hex}\nk1:${hex}`, 'line 2: the id "k1" is there twice'],
  [Array.from({ length: 9 }, (_, index) => `k${index}:${hex}`).join('\n'), '8 are the most'],
])('A key file that is wrong says where (%#)', (text, message) => {
  const parsed = parseControlKeys(text)
  expect(parsed).toMatchObject({ ok: false, message: expect.stringContaining(message) })
  expect(JSON.stringify(parsed)).not.toContain(hex.slice(1))
})

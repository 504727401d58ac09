import { describe, expect, it } from 'vitest'
import { errorPolicy } from '../../../src/controller/loop/error-policy.ts'
import { PortError, type PortErrorKind } from '../../../src/ports/errors.ts'

describe('the table of outcomes', () => {
  const table: readonly [PortErrorKind, string][] = [
    ['Conflict', 'again'],
    ['NotFound', 'again'],
    ['Unavailable', 'retry'],
    ['NotYet', 'wait'],
    ['Invalid', 'stalled'],
    ['Denied', 'stalled'],
  ]
  it.each(table)('answers %s with %s', (kind, outcome) => {
    expect(errorPolicy(new PortError(kind, 'why'), false).kind).toBe(outcome)
  })

  it('takes what nobody made for an error of ours, and tries again', () => {
    expect(errorPolicy(new TypeError('x is undefined'), false)).toEqual({
      kind: 'retry',
      message: 'internal error: x is undefined',
      bug: true,
    })
  })

  it('says nothing about calls that were cut by a stop', () => {
    expect(errorPolicy(new PortError('Unavailable', 'cut'), true)).toEqual({ kind: 'stopped' })
  })

  it('keeps the message of a rejection', () => {
    expect(errorPolicy(new PortError('Invalid', 'network guests not found'), false)).toMatchObject({
      reason: 'Refused',
      message: expect.stringContaining('network guests not found'),
    })
  })
})

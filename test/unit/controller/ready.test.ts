import { describe, expect, it } from 'vitest'
import { condition, readyChecks } from '../../../src/api/conditions.ts'
import { foldReady } from '../../../src/controller/status/ready.ts'

const all = readyChecks.map((type) => condition(type, 'True', 'Fine', ''))

describe('Ready', () => {
  it('is True when all checks pass', () => {
    expect(foldReady(all).status).toBe('True')
  })

  it.each(readyChecks)('says why when %s is False, whatever comes after it', (type) => {
    const from = readyChecks.indexOf(type)
    const held = readyChecks.map((one, index) =>
      condition(one, index < from ? 'True' : 'False', index === from ? 'Broken' : 'Later', `what of ${one}`),
    )
    expect(foldReady(held)).toEqual(condition('Ready', 'False', 'Broken', `${type}: what of ${type}`))
  })

  it.each(readyChecks)('is Unknown when %s is not known', (type) => {
    const held = all.map((one) => (one.type === type ? condition(type, 'Unknown', 'Retrying', 'no answer') : one))
    expect(foldReady(held)).toMatchObject({ status: 'Unknown', reason: 'Retrying' })
  })

  it('is Unknown until every check has run', () => {
    expect(foldReady(all.filter((one) => one.type !== 'Reachable'))).toMatchObject({ status: 'Unknown', reason: 'NotObserved' })
  })
})

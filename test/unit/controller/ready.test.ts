import { describe, expect, it } from 'vitest'
import { condition, readyRungs } from '../../../src/api/conditions.ts'
import { foldReady } from '../../../src/controller/status/ready.ts'

const all = readyRungs.map((type) => condition(type, 'True', 'Fine', ''))

describe('Ready', () => {
  it('is True when every rung is', () => {
    expect(foldReady(all).status).toBe('True')
  })

  it.each(readyRungs)('says why when %s is False, whatever comes after it', (type) => {
    const from = readyRungs.indexOf(type)
    const held = readyRungs.map((one, index) =>
      condition(one, index < from ? 'True' : 'False', index === from ? 'Broken' : 'Later', `what of ${one}`),
    )
    expect(foldReady(held)).toEqual(condition('Ready', 'False', 'Broken', `${type}: what of ${type}`))
  })

  it.each(readyRungs)('is Unknown when %s is not known', (type) => {
    const held = all.map((one) => (one.type === type ? condition(type, 'Unknown', 'Retrying', 'no answer') : one))
    expect(foldReady(held)).toMatchObject({ status: 'Unknown', reason: 'Retrying' })
  })

  it('is Unknown while a rung was never observed', () => {
    expect(foldReady(all.filter((one) => one.type !== 'Reachable'))).toMatchObject({ status: 'Unknown', reason: 'NotObserved' })
  })
})

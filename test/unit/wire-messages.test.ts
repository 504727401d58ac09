import { expect, it } from 'vitest'
import { launchConfig } from '../../src/api/wire/launch.ts'

it('says what is wrong with a wire message, not only that it is wrong', () => {
  const { error } = launchConfig.safeParse({ version: 1, cores: 0 })
  const cores = error?.issues.find((issue) => issue.path.join('.') === 'cores')
  expect(cores?.message).toBe('Too small: expected number to be >=1')
})

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type Condition, conditionOwners, type ConditionType } from '../../../src/api/conditions.ts'
import { nextStep } from '../../../src/cli/inspect/next-step.ts'

const documented = readFileSync(join(import.meta.dirname, '../../../docs/conditions.md'), 'utf8')

/** Requested states, which need no action. */
const asked = new Set(['Halted', 'Removed', 'Retained', 'UpToDate', 'KvmInUse', 'TcgAskedFor', 'Suspended', 'Refused', 'Denied'])

/** The reasons for False and Unknown of each type, as docs/conditions.md lists them. */
function reasons(): { type: ConditionType; reason: string }[] {
  const rows =
    documented
      .split('## Reasons by type')[1]
      ?.split('\n## ')[0]
      ?.match(/^\| `\w+` \|.*$/gm) ?? []
  return rows.flatMap((row) => {
    const [, type = '', , onFalse = '', onUnknown = ''] = row.split('|').map((cell) => cell.trim().replaceAll('`', ''))
    if (!Object.hasOwn(conditionOwners, type) || type === 'Ready') return []
    const words = `${onFalse} ${onUnknown}`.match(/\b[A-Z][A-Za-z]{4,}\b/g) ?? []
    return words
      .filter((word) => /[a-z][A-Z]/.test(word) && !asked.has(word) && !Object.hasOwn(conditionOwners, word))
      .map((reason) => ({ type: type as ConditionType, reason }))
  })
}

it.each(reasons())('$type $reason has a next step that leads further than "describe"', ({ type, reason }) => {
  const condition: Condition = { type, status: 'False', reason, message: '', observedGeneration: '', lastTransitionTime: '' }
  expect(nextStep(condition, { name: 'web', facts: { node: 'n1' } })).not.toMatch(/^docker vm describe/)
})

it('finds the reasons in the documentation', () => {
  expect(reasons().length).toBeGreaterThan(60)
})

it('takes the command that a message names', () => {
  const message = 'the task was rejected; see: docker service ps --no-trunc vm-web'
  const condition: Condition = {
    type: 'ServiceReady',
    status: 'False',
    reason: 'Other',
    message,
    observedGeneration: '',
    lastTransitionTime: '',
  }
  expect(nextStep(condition, { name: 'web', facts: {} })).toBe('docker service ps --no-trunc vm-web')
})

import { expect, test } from 'vitest'
import { type ConditionStatus, type ConditionType, condition } from '../../../src/api/conditions.ts'
import { phaseOf } from '../../../src/controller/status/phase.ts'
import { aVm } from '../../simulation/cluster.ts'

type Status = readonly [ConditionType, ConditionStatus, string]

function phase(runStrategy: string, said: readonly Status[], generation?: string): string {
  const declared = aVm('web', { runStrategy })
  const conditions = said.map(([type, status, reason]) => ({
    ...condition(type, status, reason, ''),
    observedGeneration: generation ?? declared.generation,
  }))
  return phaseOf(declared, conditions)
}

test.each<readonly [string, readonly Status[], string]>([
  ['nobody has looked yet', [], 'Pending'],
  ['the guest still runs', [['GuestRunning', 'True', 'Running']], 'Stopping'],
  ['its lease is still held', [['GuestRunning', 'False', 'Stopping']], 'Stopping'],
  [
    'its task is still there',
    [
      ['GuestRunning', 'False', 'Halted'],
      ['ServiceReady', 'False', 'Stopping'],
    ],
    'Stopping',
  ],
  ['its node does not answer', [['GuestRunning', 'Unknown', 'AgentUnreachable']], 'Unknown'],
  [
    'it is off',
    [
      ['GuestRunning', 'False', 'Halted'],
      ['ServiceReady', 'True', 'Halted'],
    ],
    'Halted',
  ],
  ['its service was taken from swarmvirt', [['GuestRunning', 'False', 'OwnershipLost']], 'Running'],
])('of a VM that is declared Halted where %s', (_what, said, wanted) => {
  expect(phase('Halted', said)).toBe(wanted)
})

test('is not Halted by an observation from before the manifest said Halted', () => {
  expect(phase('Halted', [['GuestRunning', 'False', 'Halted']], 'another')).toBe('Stopping')
})

test.each(['NodeDrained', 'NodeDown'])('is Pending and prepares nothing where the node is not there: %s', (reason) => {
  expect(
    phase('Always', [
      ['Placed', 'True', 'Placed'],
      ['AssetsReady', 'Unknown', reason],
    ]),
  ).toBe('Pending')
})

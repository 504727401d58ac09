import { expect, test } from 'vitest'
import { condition } from '../../../src/api/conditions.ts'
import { advanceTimeline, type Timeline } from '../../../src/controller/status/timeline.ts'

const seenAtMs = 10_000

function after(held: Timeline, ms: number, ...said: readonly Parameters<typeof condition>[]): Timeline {
  return advanceTimeline(
    held,
    seenAtMs,
    seenAtMs + ms,
    said.map((one) => condition(...one)),
  )
}

test('each step has the time when its condition first became True', () => {
  const placed = after({ manifest: 0 }, 200, ['Placed', 'True', 'Placed', ''])
  const lost = after(placed, 400, ['Placed', 'False', 'NodeDown', ''])
  expect(after(lost, 600, ['Placed', 'True', 'Placed', ''])).toEqual({ manifest: 0, placed: 200 })
})

test('the service step needs a service, not only a free name, and the task step needs a running task', () => {
  const free = after({ manifest: 0 }, 100, ['Owned', 'True', 'NoService', ''], ['ServiceReady', 'False', 'Creating', ''])
  expect(free).toEqual({ manifest: 0 })
  const made = after(free, 300, ['Owned', 'True', 'Owned', ''], ['ServiceReady', 'False', 'TaskStarting', ''])
  expect(made).toEqual({ manifest: 0, service: 300 })
  expect(after(made, 900, ['ServiceReady', 'True', 'TaskRunning', ''])).toEqual({ manifest: 0, service: 300, task: 900 })
})

test('a VM that is Halted as declared has no task step', () => {
  expect(after({ manifest: 0 }, 100, ['ServiceReady', 'True', 'Halted', ''])).toEqual({ manifest: 0 })
})

import { expect, test } from 'vitest'
import { capabilityOf } from '../../../src/cli/output/capability.ts'

test.each([
  ['true', 'ready', 'active', 'true'],
  ['true', 'ready', 'drain', 'drained'],
  ['true', 'ready', 'pause', 'paused'],
  ['true', 'down', 'active', 'down'],
  [undefined, 'ready', 'drain', ''],
])('a node with vm-capable %s that is %s and %s shows "%s"', (label, state, availability, shown) => {
  const labels: Record<string, string> = label === undefined ? {} : { 'vm-capable': label }
  expect(capabilityOf({ labels, state, availability })).toBe(shown)
})

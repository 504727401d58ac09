import { describe, expect, it } from 'vitest'
import { areNodesDifferent } from '../../../../src/controller/informer/node-changes.ts'
import type { SwarmNode } from '../../../../src/ports/swarm.ts'
import { aNodeId } from '../../../support/branded.ts'

const n1: SwarmNode = {
  id: aNodeId('id-n1'),
  version: 1,
  hostname: 'n1',
  labels: { 'vm-capable': 'true', rack: 'a' },
  role: 'manager',
  availability: 'active',
  state: 'ready',
  memoryBytes: 1,
  nanoCpus: 1,
  spec: {},
}

describe('nodes count as changed', () => {
  const other = (change: Partial<SwarmNode>): SwarmNode[] => [{ ...n1, version: 2, ...change }]

  it('not if only their version changed', () => {
    expect(areNodesDifferent([n1], other({}))).toBe(false)
  })

  it('if any other field changed, or a node joined or left', () => {
    for (const change of [
      { labels: { ...n1.labels, rack: 'b' } },
      { availability: 'drain' },
      { state: 'down' },
      { memoryBytes: 2 },
      { id: aNodeId('id-n2') },
    ] as const) {
      expect(areNodesDifferent([n1], other(change))).toBe(true)
    }
    expect(areNodesDifferent([n1], [])).toBe(true)
    expect(areNodesDifferent(undefined, [n1])).toBe(true)
  })

  it('if a node went down without a new version', () => {
    expect(areNodesDifferent([n1], [{ ...n1, state: 'down' }])).toBe(true)
  })
})

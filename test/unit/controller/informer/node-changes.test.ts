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

describe('the nodes are otherwise', () => {
  const other = (change: Partial<SwarmNode>): SwarmNode[] => [{ ...n1, version: 2, ...change }]

  it('not where only a version is another', () => {
    expect(areNodesDifferent([n1], other({}))).toBe(false)
  })

  it('where anything else of a node changed, or a node came, went or was not known', () => {
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

  it('where the managers believe a node down and its version is as it was', () => {
    expect(areNodesDifferent([n1], [{ ...n1, state: 'down' }])).toBe(true)
  })
})

import { describe, expect, it } from 'vitest'
import { concernedBy } from '../../../../src/controller/informer/node-changes.ts'
import type { SwarmNode } from '../../../../src/ports/swarm.ts'

const n1: SwarmNode = {
  id: 'id-n1',
  version: 1,
  hostname: 'n1',
  labels: { 'vm-capable': 'true', 'swarmvirt.vm.web': 'uid-web', rack: 'a' },
  role: 'manager',
  availability: 'active',
  state: 'ready',
  memoryBytes: 1,
  nanoCpus: 1,
  spec: {},
}

describe('a change of the nodes concerns', () => {
  const other = (change: Partial<SwarmNode>): SwarmNode[] => [{ ...n1, version: 2, ...change }]

  it('nobody, where only its version is another', () => {
    expect(concernedBy([n1], other({}))).toEqual([])
  })

  it('the VMs whose own labels came, went or changed, and no other', () => {
    const labels = { 'vm-capable': 'true', rack: 'a', 'swarmvirt.vm.db': 'uid-db' }
    expect(concernedBy([n1], other({ labels }))).toEqual(['web', 'db'])
    expect(concernedBy([n1], other({ labels: { ...n1.labels, 'swarmvirt.vm.web': 'another' } }))).toEqual(['web'])
  })

  it('everybody, where anything else of a node is otherwise, or a node came, went or was not known', () => {
    for (const change of [
      { labels: { ...n1.labels, rack: 'b' } },
      { availability: 'drain' },
      { state: 'down' },
      { memoryBytes: 2 },
    ] as const) {
      expect(concernedBy([n1], other(change))).toBe('everybody')
    }
    expect(concernedBy([n1], [])).toBe('everybody')
    expect(concernedBy(undefined, [n1])).toBe('everybody')
    expect(concernedBy([n1], other({ id: 'id-n2' }))).toBe('everybody')
  })

  it('everybody, where the managers believe a node down and its version is as it was', () => {
    expect(concernedBy([n1], [{ ...n1, state: 'down' }])).toBe('everybody')
  })
})

import type { NodeView, VmView } from '../../../src/api/wire/controller-api.ts'

interface VmParts {
  readonly phase?: string
  readonly ready?: 'True' | 'False' | 'Unknown'
  readonly node?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly message?: string
}

/** A VM as the API shows it, of which only what matters is named. */
export function aVm(name: string, parts: VmParts = {}): VmView {
  const { phase = 'Ready', ready = 'True', node = 'n1', labels = {}, message = '' } = parts
  const stamps = { observedGeneration: 'g', lastTransitionTime: '' }
  const conditions = [{ type: 'Ready', status: ready, reason: 'R', message, ...stamps }] as const
  const facts = { node, ip: '192.168.50.42', mac: '52:54:00:00:00:01' }
  return { name, phase, declared: 'present', generation: 'g', observedGeneration: 'g', labels, conditions, facts, timeline: {}, events: [] }
}

export function aNode(hostname: string, labels: Readonly<Record<string, string>> = {}): NodeView {
  const agent = { facts: null, factsAt: null, agentMessage: 'not asked yet', notReached: [] }
  return { id: `id-${hostname}`, hostname, role: 'manager', availability: 'active', state: 'ready', labels, ...agent }
}

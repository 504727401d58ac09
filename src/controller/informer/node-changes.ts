import { nodeLabels } from '../../api/labels.ts'
import type { VmName } from '../../api/names.ts'
import { byText } from '../../api/order.ts'
import type { Labels, SwarmNode } from '../../ports/swarm.ts'

/**
 * Whom it concerns that the nodes are now otherwise than they were. Placement depends on everything about them, so a change is everybody's business,
 * but for the label that each placed VM has on its node: there are as many as VMs, each is set by itself, and only that VM waits for it.
 */
export function concernedBy(before: readonly SwarmNode[] | undefined, after: readonly SwarmNode[]): readonly VmName[] | 'everybody' {
  if (before?.length !== after.length) return 'everybody'
  const was = new Map(before.map((node) => [node.id, node]))
  const moved = new Set<VmName>()
  for (const node of after) {
    const held = was.get(node.id)
    if (held?.version === node.version && held.state === node.state) continue
    if (held === undefined || factsOf(held) !== factsOf(node)) return 'everybody'
    for (const vm of movedLabels(held.labels, node.labels)) moved.add(vm)
  }
  return [...moved]
}

function factsOf({ hostname, labels, role, availability, state, memoryBytes, nanoCpus }: SwarmNode): string {
  const shared = Object.entries(labels).filter(([key]) => !key.startsWith(nodeLabels.vmPrefix))
  return JSON.stringify([hostname, role, availability, state, memoryBytes, nanoCpus, shared.toSorted(([a], [b]) => byText(a, b))])
}

function movedLabels(before: Labels, after: Labels): VmName[] {
  const keys = [...Object.keys(before), ...Object.keys(after)].filter((key) => key.startsWith(nodeLabels.vmPrefix))
  return keys.filter((key) => before[key] !== after[key]).map((key) => key.slice(nodeLabels.vmPrefix.length))
}

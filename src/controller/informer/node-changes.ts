import { byText } from '../../api/order.ts'
import type { SwarmNode } from '../../ports/swarm.ts'

/** Whether a field of a node changed that placement depends on. The version does not count. */
export function areNodesDifferent(before: readonly SwarmNode[] | undefined, after: readonly SwarmNode[]): boolean {
  if (before?.length !== after.length) return true
  const was = new Map(before.map((node) => [node.id, node]))
  return after.some((node) => {
    const previous = was.get(node.id)
    if (previous?.version === node.version && previous.state === node.state) return false
    return previous === undefined || factsOf(previous) !== factsOf(node)
  })
}

function factsOf({ hostname, labels, role, availability, state, memoryBytes, nanoCpus }: SwarmNode): string {
  const sorted = Object.entries(labels).toSorted(([a], [b]) => byText(a, b))
  return JSON.stringify([hostname, role, availability, state, memoryBytes, nanoCpus, sorted])
}

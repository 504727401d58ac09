import { formatBytes } from '../../api/quantity.ts'
import type { RawSpec, SwarmNode } from '../../ports/swarm.ts'
import { dig, rawNumber } from '../shared/raw.ts'
import { labelConstraints } from '../shared/vm-service.ts'

/** Why the node of a VM could not run this template, in words: the VM would be stopped for it and not come back. */
export function whyUnfit(template: RawSpec, node: SwarmNode | undefined): string | undefined {
  if (node === undefined) return 'its node is no member of the Swarm'
  // Swarm compares values without case.
  const missing = labelConstraints({ spec: { TaskTemplate: template } }).find(
    ({ label, value }) => node.labels[label]?.toLowerCase() !== value.toLowerCase(),
  )
  if (missing !== undefined) return `${node.hostname} does not carry ${missing.label}=${missing.value}`
  const needed = rawNumber(dig(template, 'Resources', 'Reservations', 'MemoryBytes')) ?? 0
  if (needed <= node.memoryBytes) return undefined
  return `${node.hostname} has ${formatBytes(node.memoryBytes)} of memory, and the VM needs ${formatBytes(needed)} with its overhead`
}

import type { NodeView } from '../../api/wire/controller-api.ts'

/** `true` where the node takes VMs now. A node that could and is drained, paused or down says that instead. */
export function capabilityOf({ labels, state, availability }: Pick<NodeView, 'labels' | 'state' | 'availability'>): string {
  const capable = labels['vm-capable'] ?? ''
  if (capable !== 'true' || state !== 'ready') return capable === 'true' ? state : capable
  return availability === 'active' ? capable : ({ drain: 'drained', pause: 'paused' }[availability] ?? availability)
}

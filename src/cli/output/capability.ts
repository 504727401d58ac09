import type { NodeView } from '../../api/wire/controller-api.ts'

/** `true` if the node accepts VMs now. A capable node that is drained, paused or down shows that state instead. */
export function capabilityOf({ labels, state, availability }: Pick<NodeView, 'labels' | 'state' | 'availability'>): string {
  const capable = labels['vm-capable'] ?? ''
  if (capable !== 'true' || state !== 'ready') return capable === 'true' ? state : capable
  return availability === 'active' ? capable : ({ drain: 'drained', pause: 'paused' }[availability] ?? availability)
}

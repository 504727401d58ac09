import { byText } from '../../api/order.ts'
import { isPublicIpv4 } from '../../api/special-addresses.ts'
import type { PrepareOrder } from '../../api/wire/agent-api.ts'
import type { SwarmNode } from '../../ports/swarm.ts'

const ipv4 = /^\d{1,3}(?:\.\d{1,3}){3}$/
type NodeAddresses = Pick<SwarmNode, 'addresses'>

/** An order for an image from the network says where it may not come from. Others stay the same when a node joins. */
export function withClusterAddresses(order: PrepareOrder, nodes: readonly NodeAddresses[]): PrepareOrder {
  const clusterAddresses = order.disks.some(({ image }) => /^https?:/.test(image.source)) ? publicAddresses(nodes) : []
  return clusterAddresses.length === 0 ? order : { ...order, clusterAddresses }
}

/** Agents refuse other addresses by themselves, so most clusters have none of these. */
function publicAddresses(nodes: readonly NodeAddresses[]): string[] {
  const all = new Set(nodes.flatMap((node) => node.addresses ?? []))
  return [...all].filter((one) => one.includes(':') || (ipv4.test(one) && isPublicIpv4(one))).toSorted(byText)
}

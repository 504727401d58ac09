import { byText } from '../../api/order.ts'
import { isPublicIpv4 } from '../../api/special-addresses.ts'
import type { PrepareOrder } from '../../api/wire/agent-api.ts'
import type { SwarmNode } from '../../ports/swarm.ts'

const ipv4 = /^\d{1,3}(?:\.\d{1,3}){3}$/
type NodeAddresses = Pick<SwarmNode, 'addresses'>

/** Lists the cluster's public addresses in an order that downloads an image, which must not come from there. Other orders do not change when a node joins. */
export function withClusterAddresses(order: PrepareOrder, nodes: readonly NodeAddresses[]): PrepareOrder {
  const clusterAddresses = order.disks.some(({ image }) => /^https?:/.test(image?.source ?? '')) ? publicAddresses(nodes) : []
  return clusterAddresses.length === 0 ? order : { ...order, clusterAddresses }
}

/** Agents always reject private addresses, so most clusters need none of these. */
function publicAddresses(nodes: readonly NodeAddresses[]): string[] {
  const all = new Set(nodes.flatMap((node) => node.addresses ?? []))
  return [...all].filter((one) => one.includes(':') || (ipv4.test(one) && isPublicIpv4(one))).toSorted(byText)
}

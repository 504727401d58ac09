import type { SwarmNode } from '../../ports/swarm.ts'

const ipv4 = /^\d{1,3}(\.\d{1,3}){3}$/

/**
 * The address under which other machines reach the published ports of a node. Docker reports the address that the managers see, which can be a
 * proxy's, and for a manager also its own. Undefined if the node has no usable IPv4 address.
 */
export function publishedAddress(node: Pick<SwarmNode, 'addresses'> | undefined): string | undefined {
  return (node?.addresses ?? []).findLast((one) => ipv4.test(one) && one !== '0.0.0.0' && !one.startsWith('127.'))
}

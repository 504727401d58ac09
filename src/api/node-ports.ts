/**
 * Ports of a node that no guest may reach (ADR 0024): Docker's API, Swarm's management, gossip and VXLAN, and the project's range of metrics and
 * control ports, in which Docker's and most exporters' metrics lie too. TCP and UDP alike.
 */
export const nodePorts: readonly { readonly from: number; readonly to: number }[] = [
  { from: 2375, to: 2377 },
  { from: 4789, to: 4789 },
  { from: 7946, to: 7946 },
  { from: 9100, to: 9499 },
]

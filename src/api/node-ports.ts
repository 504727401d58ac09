/**
 * Ports of a node that no guest may reach (ADR 0024), TCP and UDP: Docker's API, Swarm's management, gossip and VXLAN, and the project's
 * range of metrics and control ports, which includes those of Docker and most exporters.
 */
export const nodePorts: readonly { readonly from: number; readonly to: number }[] = [
  { from: 2375, to: 2377 },
  { from: 4789, to: 4789 },
  { from: 7946, to: 7946 },
  { from: 9100, to: 9499 },
]

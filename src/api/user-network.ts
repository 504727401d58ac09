/** Said by placement and by the agent. */
export const noUserNetwork = 'it has no user network: run install-node of this release on it, which creates the network and filters it'

/** The config-only network that `install-node` creates on each node, with a bridge that the node's broker filters (ADR 0031). */
export const userNetworkConfig = 'swarmvirt-user-config'

/** Said by placement and by the agent. */
export const noUserNetwork = 'it has no user network: run install-node of this release on it, which creates the network and filters it'

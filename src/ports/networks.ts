export interface NetworkFacts {
  /** Docker does not attach tasks on this network to its node's own bridge. */
  readonly isInternal: boolean
  readonly isEncrypted: boolean
  /** The config-only network of each node that it takes its settings from; absent if there is none. */
  readonly configFrom?: string
}

export interface Networks {
  /** Undefined if there is no network with this name. Throws PortError. */
  getNetwork(name: string, signal?: AbortSignal): Promise<NetworkFacts | undefined>
}

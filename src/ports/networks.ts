export interface NetworkFacts {
  /** Docker attaches no task on it to its node's own bridge. */
  readonly isInternal: boolean
  readonly isEncrypted: boolean
}

export interface Networks {
  /** Undefined where there is none of this name. Throws PortError. */
  getNetwork(name: string, signal?: AbortSignal): Promise<NetworkFacts | undefined>
}

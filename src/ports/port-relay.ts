/** A port of the VM's task, and the port on the task's loopback address to which QEMU's NAT listens. */
export interface Forward {
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
  readonly toPort: number
}

export interface OpenRelay {
  /** Why some ports could not be opened; empty if all are open. */
  readonly problem: string
  /** Closes the ports and every connection. */
  close(): void
}

interface LoopbackConnection {
  /** The other end has closed it. */
  readonly ended: boolean
  close(): void
}

/** Relays connections and datagrams from ports of the task to its loopback address, so that the guest sees an address of its own link. */
export interface PortRelay {
  /** Opens a connection to a port on the loopback address of the task. Rejects if that fails. */
  connect(toPort: number): Promise<LoopbackConnection>
  /** Never rejects. */
  open(forwards: readonly Forward[]): Promise<OpenRelay>
}

/**
 * UNIX stream sockets that carry descriptors (SCM_RIGHTS), which Node's own sockets do not support. The receiver owns and closes a
 * descriptor; the sender keeps and closes its own copy.
 */
export interface FdConnection {
  /** Queues bytes. The kernel duplicates the descriptors when the first byte is sent, so they must stay open until `flushed` resolves. */
  send(bytes: Uint8Array, fds?: readonly number[]): void
  /** Resolves when everything queued has been passed to the kernel. Rejects if the connection ends first. */
  flushed(): Promise<void>
  /** Chunks as they arrive; `fds` arrived with the first byte of this chunk or of a frame inside it, in order. */
  onData(listener: (bytes: Uint8Array, fds: readonly number[]) => void): void
  /** Called once, with the reason if it was an error; also after `close`. */
  onClose(listener: (error?: Error) => void): void
  /** Idempotent. */
  close(): void
}

export interface FdListener {
  /** Stops listening. The socket file stays, and the next listener replaces it. */
  close(): void
}

export interface FdSockets {
  /** Rejects with PortError `NotFound` (no such file) or `Unavailable` (no listener). */
  connect(path: string): Promise<FdConnection>
  /** Removes an old socket at `path` and binds; never removes another file. `mode` is that of the socket file, for example 0o660. */
  listen(path: string, mode: number, onConnection: (connection: FdConnection) => void): Promise<FdListener>
}

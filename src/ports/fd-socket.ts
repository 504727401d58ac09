/**
 * UNIX stream sockets that carry descriptors (SCM_RIGHTS), which Node's own do not.
 * The receiver owns a descriptor and closes it; the sender keeps its own copy and closes that.
 */
export interface FdConnection {
  /** Queues bytes; the descriptors are duplicated by the kernel when the first byte is sent. They must stay open until `flushed` resolves. */
  send(bytes: Uint8Array, fds?: readonly number[]): void
  /** Resolves when everything queued has been handed to the kernel; rejects when the connection ended first. */
  flushed(): Promise<void>
  /** Chunks as they arrive; `fds` arrived with the first byte of this chunk or of a frame inside it, in order. */
  onData(listener: (bytes: Uint8Array, fds: readonly number[]) => void): void
  /** Called once, with why if it was an error; also after `close`. */
  onClose(listener: (error?: Error) => void): void
  /** Idempotent. */
  close(): void
}

export interface FdListener {
  /** Stops listening; the socket file stays (the next listener replaces it). */
  close(): void
}

export interface FdSockets {
  /** Rejects with PortError `NotFound` (no such file) or `Unavailable` (nobody listens). */
  connect(path: string): Promise<FdConnection>
  /** Binds after removing an old socket at `path` (never anything that is not a socket); `mode` is that of the file, for example 0o660. */
  listen(path: string, mode: number, onConnection: (connection: FdConnection) => void): Promise<FdListener>
}

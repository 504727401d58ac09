/** How a process ended: `code` if it exited, `signal` (such as `SIGKILL`) if a signal killed it. */
export type ProcessEnd = { readonly kind: 'exited'; readonly code: number } | { readonly kind: 'killed'; readonly signal: string }

/** Our end of a stream socket. The child has the other end. */
export interface Channel {
  /** Queues bytes. Bytes for a closed channel are lost, and `onClose` reports it. */
  write(bytes: Uint8Array): void
  onData(listener: (bytes: Uint8Array) => void): void
  /** Called once; immediately if the channel is already closed. */
  onClose(listener: () => void): void
}

export interface ChildProcess {
  readonly pid: number
  /** Channel `i` is descriptor `3 + i` in the child. */
  readonly channels: readonly Channel[]
  /** Resolves when the process has ended and its output has been read. Never rejects. */
  readonly ended: Promise<ProcessEnd>
  kill(signal: 'SIGTERM' | 'SIGKILL'): void
}

export interface SpawnOptions {
  /** Number of channels that the child gets, starting at descriptor 3. */
  readonly channels: number
  /** Descriptors passed after the channels: the first one is `3 + channels` in the child. The caller keeps and closes its own copies. */
  readonly fds: readonly number[]
  /** Maximum size of a file that the process writes. A longer write fails with EFBIG, and the process continues. */
  readonly maxFileBytes?: number
  /** Receives stdout and stderr, in order of arrival. */
  readonly onOutput: (bytes: Uint8Array) => void
}

/** Starts programs by path and argument array, never through a shell, with only a fixed PATH in the environment. */
export interface ChildProcesses {
  /** Resolves when the program runs. Throws PortError `Invalid` if it cannot be started. */
  spawn(file: string, args: readonly string[], options: SpawnOptions): Promise<ChildProcess>
}

/** How a process ended: `code` for an exit, `signal` (such as `SIGKILL`) where one ended it. */
export type ProcessEnd = { readonly kind: 'exited'; readonly code: number } | { readonly kind: 'killed'; readonly signal: string }

/** Our end of a stream socket whose other end the child holds. */
export interface Channel {
  /** Queues bytes; what a channel that has ended cannot take is lost, and `onClose` says so. */
  write(bytes: Uint8Array): void
  onData(listener: (bytes: Uint8Array) => void): void
  /** Called once; at once where it has ended already. */
  onClose(listener: () => void): void
}

export interface ChildProcess {
  readonly pid: number
  /** Channel `i` is descriptor `3 + i` in the child. */
  readonly channels: readonly Channel[]
  /** Resolves when the process is gone and its output has been read. Never rejects. */
  readonly ended: Promise<ProcessEnd>
  kill(signal: 'SIGTERM' | 'SIGKILL'): void
}

export interface SpawnOptions {
  /** How many channels the child gets, from descriptor 3 on. */
  readonly channels: number
  /** Descriptors handed on after the channels: the first is `3 + channels` in the child. The caller keeps its own copies and closes them. */
  readonly fds: readonly number[]
  /** No file that the process writes grows beyond this: such a write fails with EFBIG, and the process goes on. */
  readonly maxFileBytes?: number
  /** Both stdout and stderr, as they come. */
  readonly onOutput: (bytes: Uint8Array) => void
}

/** Starts programs by path and argument array, never through a shell, with no environment but a fixed PATH. */
export interface ChildProcesses {
  /** Resolves when the program runs; throws PortError `Invalid` where it cannot be started. */
  spawn(file: string, args: readonly string[], options: SpawnOptions): Promise<ChildProcess>
}

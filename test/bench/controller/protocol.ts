/** Between the bench and the controller that it measures, over Node's IPC. */
export interface ChildConfig {
  /** `floor`: everything is imported and listens, and nothing runs. */
  readonly mode: 'run' | 'floor'
  /** A manager's; none where nothing runs. */
  readonly socket: string | null
  readonly manifests: string
  readonly resyncMs: number
}

export type Request =
  /** Answers when every reconciler has run every VM of `vms` and nothing is ready. */
  | { readonly kind: 'settled'; readonly vms: number }
  | { readonly kind: 'calls' }
  | { readonly kind: 'reset' }
  /** A resync is due. Answers when its work is done. */
  | { readonly kind: 'look' }
  /** The event stream breaks. Answers when everything was read and reconciled again. */
  | { readonly kind: 'gap' }
  /** The same lists with nothing but a parser and a hash. */
  | { readonly kind: 'raw' }
  | { readonly kind: 'mute'; readonly muted: boolean }
  | { readonly kind: 'usage' }
  /** Restarts the measurement of the event-loop delay, and returns the delay since the last call. */
  | { readonly kind: 'delay' }

export interface Usage {
  readonly cpuMs: number
  readonly runs: number
  readonly heapMiB: number
}

export interface Pass {
  readonly ms: number
  readonly calls: Readonly<Record<string, number>>
  /** When the last write ended, in epoch milliseconds. */
  readonly lastWriteMs: number
}

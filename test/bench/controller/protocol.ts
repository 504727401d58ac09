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
  /** Answers when every VM of `vms` was looked at by everybody and nothing is ready any more. */
  | { readonly kind: 'settled'; readonly vms: number }
  | { readonly kind: 'calls' }
  | { readonly kind: 'reset' }
  /** A resync is due: answers when what it asked for is done. */
  | { readonly kind: 'look' }
  /** The event stream breaks: answers when everything was read and looked at again. */
  | { readonly kind: 'gap' }
  /** The same lists with nothing but a parser and a hash. */
  | { readonly kind: 'raw' }
  | { readonly kind: 'mute'; readonly muted: boolean }
  | { readonly kind: 'usage' }
  /** Starts to watch the delay of the event loop anew, and gives what it was since the last time. */
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

/** Between the bench and the controller that it measures, over Node's IPC. */
export interface ChildConfig {
  /** `idle`: everything is imported and listens, and nothing runs. */
  readonly mode: 'run' | 'idle'
  /** The manager's. */
  readonly socket: string
  readonly manifests: string
  readonly resyncMs: number
}

export type Request =
  /** Answers when `vms` VMs are Ready. */
  | { readonly kind: 'settled'; readonly vms: number }
  /** Number of calls by method since the last `calls`. */
  | { readonly kind: 'calls' }
  /** Drops the events of the Swarm from now on, or no longer. */
  | { readonly kind: 'mute'; readonly muted: boolean }
  /** CPU time so far, in milliseconds. */
  | { readonly kind: 'cpu' }
  /** The p99 of the event loop's delay since the last `delay`, in milliseconds. */
  | { readonly kind: 'delay' }

export type Calls = Readonly<Record<string, number>>

/** Reads and writes among the calls. */
export function countCalls(calls: Calls): { readonly reads: number; readonly writes: number } {
  let [reads, writes] = [0, 0]
  for (const [method, count] of Object.entries(calls)) {
    if (/^(?:create|update|remove)/.test(method)) writes += count
    else reads += count
  }
  return { reads, writes }
}

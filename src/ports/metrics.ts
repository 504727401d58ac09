import type { DriftKind } from '../api/drift-kinds.ts'

/** The result of one run of a reconciler, with the names of controller-runtime. */
export type ReconcileResult = 'success' | 'error' | 'requeue' | 'requeue_after'

/** The current state of a queue. */
export interface QueueState {
  /** Ready keys that no run has taken yet. */
  readonly depth: number
  /** For each running key: how long it has been running, in seconds. */
  readonly workingSeconds: readonly number[]
}

/** The counters of the controller. Gauges are read from the StatusView and the queues at each scrape. */
export interface Metrics {
  reconciled(controller: string, result: ReconcileResult, seconds: number): void
  /** A request was rejected; the key waits for a change. */
  refused(controller: string): void
  /** An unexpected error in a run. */
  panicked(controller: string): void
  queueAdded(controller: string): void
  queueRetried(controller: string): void
  /** A run took a key that had been ready for this long. */
  queueWaited(controller: string, seconds: number): void
  queueWorked(controller: string, seconds: number): void
  /** Called once per queue, before it is used. */
  watchQueue(controller: string, workers: number, state: () => QueueState): void
  /** Drift was corrected. */
  driftCorrected(kind: DriftKind): void
  /** In the Prometheus text format. */
  expose(): Promise<{ readonly contentType: string; readonly text: string }>
}

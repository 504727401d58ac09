import type { DriftKind } from '../api/drift-kinds.ts'

/** How one run of a reconciler ended, in controller-runtime's words. */
export type ReconcileResult = 'success' | 'error' | 'requeue' | 'requeue_after'

/** What a queue holds at this moment. */
export interface QueueState {
  /** Ready and not taken. */
  readonly depth: number
  /** How long each key that is worked on has been so, in seconds. */
  readonly workingSeconds: readonly number[]
}

/** What the controller counts; gauges are read from the StatusView and from the queues when they are scraped. */
export interface Metrics {
  reconciled(controller: string, result: ReconcileResult, seconds: number): void
  /** A request was rejected; the key waits for a change. */
  refused(controller: string): void
  /** An unexpected error in a run. */
  panicked(controller: string): void
  queueAdded(controller: string): void
  queueRetried(controller: string): void
  /** A key was taken that had been ready for so long. */
  queueWaited(controller: string, seconds: number): void
  queueWorked(controller: string, seconds: number): void
  /** Called once for each queue, before it is used. */
  watchQueue(controller: string, workers: number, state: () => QueueState): void
  /** Drift was corrected. */
  driftCorrected(kind: DriftKind): void
  /** Prometheus text format. */
  expose(): Promise<{ readonly contentType: string; readonly text: string }>
}

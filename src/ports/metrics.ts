/** How one run of a reconciler ended, in controller-runtime's words. */
export type ReconcileResult = 'success' | 'error' | 'requeue' | 'requeue_after'

/** What the controller counts; gauges are read from the StatusView when they are scraped. */
export interface Metrics {
  reconciled(controller: string, result: ReconcileResult, seconds: number): void
  queueAdded(controller: string): void
  queueRetried(controller: string): void
  queueDepth(controller: string, depth: number): void
  /** Something in the Swarm was not as it was left, and was put back. */
  driftCorrected(kind: string): void
  /** Prometheus text format. */
  expose(): Promise<{ readonly contentType: string; readonly text: string }>
}

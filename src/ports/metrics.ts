/** How one run of a reconciler ended, in controller-runtime's words. */
export type ReconcileResult = 'success' | 'error' | 'requeue' | 'requeue_after'

/** What of the Swarm can be put back. A VM's launch config and secret cannot be lost while its service names them. */
export const driftKinds = ['node_labels', 'placement_record', 'service', 'service_labels', 'replicas', 'update_policy', 'template'] as const
export type DriftKind = (typeof driftKinds)[number]

/** What the controller counts; gauges are read from the StatusView when they are scraped. */
export interface Metrics {
  reconciled(controller: string, result: ReconcileResult, seconds: number): void
  queueAdded(controller: string): void
  queueRetried(controller: string): void
  queueDepth(controller: string, depth: number): void
  /** Something in the Swarm was not as it was left, and was put back. */
  driftCorrected(kind: DriftKind): void
  /** Prometheus text format. */
  expose(): Promise<{ readonly contentType: string; readonly text: string }>
}

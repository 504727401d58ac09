import type { Metrics } from '../../src/ports/metrics.ts'

/** For a controller of which nobody counts anything. */
export const noMetrics: Metrics = {
  reconciled: () => undefined,
  queueAdded: () => undefined,
  queueRetried: () => undefined,
  queueWaited: () => undefined,
  queueWorked: () => undefined,
  watchQueue: () => undefined,
  refused: () => undefined,
  panicked: () => undefined,
  driftCorrected: () => undefined,
  expose: async () => ({ contentType: '', text: '' }),
}

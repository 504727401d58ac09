import type { ControllerActions } from '../../src/ports/controller-actions.ts'
import type { Inspection } from '../../src/ports/inspection.ts'

/** The actions of a controller that gets no requests. */
export const noActions: ControllerActions = {
  reload: () => undefined,
  confirmRemoval: () => ({ kind: 'other', withheld: [] }),
  suspend: async () => ({ kind: 'unknown' }),
  resume: async () => ({ kind: 'unknown' }),
  power: () => Promise.resolve({ kind: 'unknown' }),
  reconcile: () => false,
}

export const noInspection: Inspection = {
  plan: async () => undefined,
  manifest: () => undefined,
  disks: async () => ({ disks: [], unasked: [] }),
}

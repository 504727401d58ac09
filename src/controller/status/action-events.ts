import { driftOf } from './drift-events.ts'
import type { Happening } from './vm-events.ts'

/** An action as an event of its VM; undefined where it makes no difference to a guest, or puts back what somebody changed (drift.ts). */
export function actionEvent(action: unknown, hadService: boolean): Happening | undefined {
  if (driftOf(action, hadService).length > 0) return undefined
  const { kind, name = '', why = '', touches } = action as Shape
  switch (kind) {
    case 'createService':
      return done('ServiceCreated', `created the service ${name}`)
    case 'updateService':
      return touches === 'template' ? done('ServiceUpdated', `updated the service ${name}: ${why}`) : undefined
    case 'removeService':
      return done('ServiceRemoved', `removed the service ${name}`)
    case 'deleteDisks':
      return done('DisksDeleting', 'told the node to delete the disks, as the manifest said')
    default:
      return undefined
  }
}

interface Shape {
  readonly kind?: unknown
  readonly name?: string
  readonly why?: string
  readonly touches?: unknown
}

function done(reason: string, message: string): Happening {
  return { type: 'Action', status: '', reason, message }
}

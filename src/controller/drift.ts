import { objectLabels } from '../api/labels.ts'

/**
 * What kind of drift an action puts back, for the counter; undefined where it carries out what somebody asked for.
 * Actions are read by their shape, since the runtime knows no reconciler.
 */
export function driftOf(action: unknown, hadService: boolean): 'template' | 'service' | undefined {
  const { kind, touches, spec } = action as { kind?: unknown; touches?: unknown; spec?: { Labels?: Record<string, unknown> } }
  if (kind === 'createService') return hadService ? 'service' : undefined
  const isTemplate = kind === 'updateService' && touches === 'template'
  return isTemplate && spec?.Labels?.[objectLabels.driftHash] !== undefined ? 'template' : undefined
}

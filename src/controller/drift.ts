import type { DriftKind } from '../ports/metrics.ts'

/**
 * What an action puts back, for the counter; nothing where it carries out what somebody asked for. Actions are read by their shape, since the
 * runtime knows no reconciler; that a VM had a service before only the runtime remembers.
 */
export function driftOf(action: unknown, hadService: boolean): readonly DriftKind[] {
  const { kind, corrects } = action as { kind?: unknown; corrects?: readonly DriftKind[] }
  if (kind === 'createService') return hadService ? ['service'] : []
  return corrects ?? []
}

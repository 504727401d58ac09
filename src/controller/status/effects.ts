import type { VmName } from '../../api/names.ts'
import type { Log } from '../../ports/log.ts'
import type { Metrics } from '../../ports/metrics.ts'
import type { Drift, Effect } from '../../reconcilers/reconciler.ts'
import type { StatusStore } from './store.ts'

export interface EffectPorts {
  readonly status: Pick<StatusStore, 'note'>
  readonly metrics: Pick<Metrics, 'driftCorrected'>
  readonly log: Log
}

/** Records the effects of one run: events, and for each drift correction a metric and a log line. */
export interface EffectRecorder {
  ofVm(vm: VmName, effects: readonly Effect[], hadService: boolean): void
}

export function effectRecorder({ status, metrics, log }: EffectPorts): EffectRecorder {
  function restored(vm: VmName, message: string): void {
    status.note(vm, { type: 'Drift', status: '', reason: 'PutBack', message })
    log.info({ vm, message }, 'Drift corrected')
  }

  function drift(vm: VmName, { kinds, messages }: Drift): void {
    for (const kind of kinds) metrics.driftCorrected(kind)
    for (const message of messages) restored(vm, message)
  }

  return {
    ofVm(vm, effects, hadService) {
      for (const effect of effects) {
        if (isDrift(effect, hadService)) drift(vm, effect.drift)
        else if (effect.event !== undefined) status.note(vm, { type: 'Action', status: '', ...effect.event })
      }
    },
  }
}

function isDrift(effect: Effect, hadService: boolean): effect is Effect & { readonly drift: Drift } {
  const { drift } = effect
  return drift !== undefined && (drift.counts === 'always' || hadService)
}

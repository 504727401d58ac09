import type { VmName } from '../../api/names.ts'
import type { Log } from '../../ports/log.ts'
import type { Metrics } from '../../ports/metrics.ts'
import type { Effect } from '../../reconcilers/reconciler.ts'
import type { DeclarationStore } from '../declarations/store.ts'
import type { StatusStore } from './store.ts'

export interface EffectPorts {
  readonly status: Pick<StatusStore, 'note'>
  readonly metrics: Pick<Metrics, 'driftCorrected'>
  readonly log: Log
  readonly store: Pick<DeclarationStore, 'knows'>
}

/** Records what the actions of one run did: events, and a count and a log line for each change of somebody else that was corrected. */
export interface EffectRecorder {
  ofVm(vm: VmName, effects: readonly Effect[], hadService: boolean): void
  ofNode(effects: readonly Effect[]): void
}

export function effectRecorder({ status, metrics, log, store }: EffectPorts): EffectRecorder {
  function restored(vm: VmName, message: string): void {
    status.note(vm, { type: 'Drift', status: '', reason: 'PutBack', message })
    log.info({ vm, message }, 'Drift corrected')
  }

  function drift({ drift }: Effect, ofRun?: VmName): void {
    for (const kind of drift?.kinds ?? []) metrics.driftCorrected(kind)
    for (const { vm = ofRun, message } of drift?.events ?? []) if (vm !== undefined && store.knows(vm)) restored(vm, message)
  }

  return {
    ofVm(vm, effects, hadService) {
      for (const effect of effects) {
        if (isDrift(effect, hadService)) drift(effect, vm)
        else if (effect.event !== undefined) status.note(vm, { type: 'Action', status: '', ...effect.event })
      }
    },
    ofNode(effects) {
      for (const effect of effects) if (isDrift(effect, false)) drift(effect)
    },
  }
}

function isDrift({ drift }: Effect, hadService: boolean): boolean {
  return drift !== undefined && (drift.counts === 'always' || hadService)
}

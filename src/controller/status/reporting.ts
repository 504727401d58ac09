import type { VmName } from '../../api/names.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Metrics } from '../../ports/metrics.ts'
import type { StatusView } from '../../ports/status-view.ts'
import type { SwarmNode } from '../../ports/swarm.ts'
import type { DeclarationStore } from '../declarations/store.ts'
import { vmOwners } from '../loop/loops.ts'
import { changes } from './change-feed.ts'
import { effectRecorder } from './effects.ts'
import { readiness } from './readiness.ts'
import { resultReporter, type ResultPorts } from './report-results.ts'
import { statusStore, type StatusStore } from './store.ts'
import { type StatusViewPorts, statusView } from './view.ts'

interface ReportingPorts {
  readonly store: DeclarationStore
  readonly metrics: Metrics
  readonly clock: Clock
  readonly log: Log
}

/** From the results of runs to the status that the API shows. */
export interface Reporting {
  readonly status: StatusStore
  /** Records an event of a VM. */
  readonly note: (...event: Parameters<StatusStore['note']>) => void
  /** Every reconciler has reported the VM. */
  readonly isReconciled: (vm: VmName) => boolean
  readonly isSuspended: (vm: VmName) => boolean
  /** Returns the function that takes the result of each run of a VM. */
  readonly reporter: (requeue: Pick<ResultPorts, 'onWrite' | 'newTask'>) => ReturnType<typeof resultReporter>
  /** `nodes` returns undefined before the first snapshot of the Swarm. */
  readonly view: (nodes: () => readonly SwarmNode[] | undefined, seen: StatusViewPorts['seen']) => StatusView
}

export function reporting({ store, metrics, clock, log }: ReportingPorts): Reporting {
  const feed = changes(clock)
  const status = statusStore(clock, log, (vm) => feed.note(vm))
  const effects = effectRecorder({ status, metrics, log })
  const isReconciled = (vm: VmName): boolean => status.progress(vm).length === vmOwners.length
  return {
    status,
    note: (...event) => status.note(...event),
    isReconciled,
    isSuspended: (vm) => status.progress(vm).some((one) => one.kind === 'suspended'),
    reporter: ({ onWrite, newTask }) => resultReporter({ store, status, effects, onWrite, newTask }),
    view(nodes, seen) {
      const missing = readiness({ hasSnapshot: () => nodes() !== undefined, store, isReconciled })
      return statusView({ store, status, changes: feed, nodes: () => nodes() ?? [], seen, missing })
    },
  }
}

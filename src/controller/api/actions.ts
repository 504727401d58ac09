import type { VmName } from '../../api/names.ts'
import type { ControllerActions } from '../../ports/controller-actions.ts'
import type { Log } from '../../ports/log.ts'
import type { DeclarationStore } from '../declarations/store.ts'
import { blockedNames } from '../declarations/state.ts'
import { type PowerPorts, powerActions } from './power.ts'
import { type SuspendPorts, suspending } from './suspend.ts'

interface ActionPorts {
  readonly store: Pick<DeclarationStore, 'confirmRemoval' | 'state'> & SuspendPorts['store']
  readonly swarm: SuspendPorts['swarm'] & PowerPorts['swarm']
  readonly agents: PowerPorts['agents']
  readonly clock: PowerPorts['clock']
  readonly note: PowerPorts['note']
  readonly log: Log
  readonly reload: () => void
  /** Reconciles a VM now, even if it is in backoff. */
  readonly lookAt: (vm: VmName) => void
  /** Receives the VMs whose declaration changed. */
  readonly onDeclared: (changed: readonly VmName[]) => void
}

export function controllerActions(ports: ActionPorts): ControllerActions {
  const { store, log, reload, lookAt, onDeclared } = ports
  return {
    ...suspending(ports),
    ...powerActions(ports),
    reconcile(name) {
      if (!store.knows(name)) return false
      log.info({ vm: name }, 'Reconcile requested')
      lookAt(name)
      return true
    },
    reload() {
      log.info({}, 'Reload of the manifests requested')
      reload()
    },
    confirmRemoval(names) {
      const changed = store.confirmRemoval(names)
      if (changed === undefined) return { kind: 'other', withheld: blockedNames(store.state()) }
      const confirmed = [...new Set(names)].toSorted()
      log.info({ count: confirmed.length, vms: confirmed }, 'Removals confirmed')
      onDeclared(changed)
      // Read the manifests again: the confirmation may be based on an old read.
      reload()
      return { kind: 'confirmed', names: confirmed }
    },
  }
}

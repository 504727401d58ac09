import type { VmName } from '../../api/names.ts'
import type { ControllerActions } from '../../ports/controller-actions.ts'
import type { Log } from '../../ports/log.ts'
import type { DeclarationStore } from '../declarations/store.ts'
import { withheldNames } from '../declarations/state.ts'
import { type SuspendPorts, suspending } from './suspend.ts'

interface ActionPorts {
  readonly store: Pick<DeclarationStore, 'confirmRemoval' | 'state'> & SuspendPorts['store']
  readonly swarm: SuspendPorts['swarm']
  readonly log: Log
  readonly reload: () => void
  /** Has everybody look at a VM now, whatever it waits for. */
  readonly lookAt: (vm: VmName) => void
  /** Takes the VMs that are declared differently now. */
  readonly onDeclared: (changed: readonly VmName[]) => void
}

export function controllerActions(ports: ActionPorts): ControllerActions {
  const { store, log, reload, lookAt, onDeclared } = ports
  return {
    ...suspending(ports),
    reconcile(name) {
      if (!store.knows(name)) return false
      log.info({ vm: name }, 'Asked to look at a VM')
      lookAt(name)
      return true
    },
    reload() {
      log.info({}, 'Asked to read the manifests')
      reload()
    },
    confirmRemoval(names) {
      const changed = store.confirmRemoval(names)
      if (changed === undefined) return { kind: 'other', withheld: withheldNames(store.state()) }
      const confirmed = [...new Set(names)].toSorted()
      log.info({ count: confirmed.length, vms: confirmed }, 'Removals confirmed')
      onDeclared(changed)
      // A person may have confirmed what an old read said; and whoever waits for the grace wants to know when it ends.
      reload()
      return { kind: 'confirmed', names: confirmed }
    },
  }
}

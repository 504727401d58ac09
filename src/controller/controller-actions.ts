import type { VmName } from '../api/names.ts'
import type { ControllerActions } from '../ports/controller-actions.ts'
import type { Log } from '../ports/log.ts'
import type { DeclarationStore } from './declarations.ts'
import { withheldNames } from './declare-state.ts'

interface ActionPorts {
  readonly store: Pick<DeclarationStore, 'confirmRemoval' | 'state'>
  readonly log: Log
  readonly reload: () => void
  /** Takes the VMs that are declared differently now. */
  readonly onDeclared: (changed: readonly VmName[]) => void
}

export function controllerActions({ store, log, reload, onDeclared }: ActionPorts): ControllerActions {
  return {
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

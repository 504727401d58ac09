import { objectLabels, suspendedBy } from '../../api/labels.ts'
import { suspendAnnotation } from '../../api/manifest/annotations.ts'
import { placementRecordName, type VmName } from '../../api/names.ts'
import { PortError } from '../../ports/errors.ts'
import type { Log } from '../../ports/log.ts'
import type { SuspensionAnswer } from '../../ports/controller-actions.ts'
import type { Labels, Swarm, SwarmConfig } from '../../ports/swarm.ts'
import { readPlacementRecords } from '../../reconcilers/shared/placement-record.ts'
import { isSuspendedIn } from '../../reconcilers/shared/suspension.ts'
import type { DeclarationStore } from '../declarations/store.ts'

export interface SuspendPorts {
  readonly swarm: Pick<Swarm, 'getConfig' | 'updateConfigLabels'>
  readonly store: Pick<DeclarationStore, 'get' | 'knows'>
  readonly log: Log
  /** Reconciles the VM now. */
  readonly lookAt: (vm: VmName) => void
}

/** Suspends with a label on the placement record, so that it applies to every controller and survives a restart. */
export function suspending(ports: SuspendPorts): { readonly [verb in 'suspend' | 'resume']: (vm: string) => Promise<SuspensionAnswer> } {
  const { store, log, lookAt } = ports

  async function noted(vm: VmName, message: string, change: (labels: Labels) => Labels): Promise<SuspensionAnswer> {
    const changed = await relabel(ports.swarm, vm, change)
    if (changed === undefined) return { kind: 'refused', message: withoutRecord(vm) }
    if (changed) log.info({ vm }, message)
    lookAt(vm)
    return { kind: 'done', changed }
  }

  return {
    async suspend(vm) {
      if (!store.knows(vm)) return { kind: 'unknown' }
      return noted(vm, 'Suspended', (labels) => ({ ...labels, [objectLabels.suspended]: suspendedBy.command }))
    },
    async resume(vm) {
      if (!store.knows(vm)) return { kind: 'unknown' }
      const declaration = store.get(vm)
      if (declaration.kind === 'present' && isSuspendedIn(declaration.vm)) return { kind: 'refused', message: ofManifest(vm) }
      return noted(vm, 'Resumed', ({ [objectLabels.suspended]: _noted, ...labels }) => labels)
    },
  }
}

function withoutRecord(vm: VmName): string {
  return `${vm} has no placement record of swarmvirt for the label (it may have no node yet); suspend it in its manifest instead: annotation ${suspendAnnotation}: "true"`
}

function ofManifest(vm: VmName): string {
  return `the manifest of ${vm} suspends it: remove the annotation ${suspendAnnotation}`
}

const tries = 5

/** Returns whether the labels changed; undefined if the VM has no record. Retries on Conflict, because reconcilers write the record too. */
async function relabel(swarm: SuspendPorts['swarm'], vm: VmName, change: (labels: Labels) => Labels): Promise<boolean | undefined> {
  for (let left = tries; ; left -= 1) {
    const config = await swarm.getConfig(placementRecordName(vm))
    if (config === undefined || !isRecordOf(vm, config)) return undefined
    const labels = change(config.labels)
    if (labels[objectLabels.suspended] === config.labels[objectLabels.suspended]) return false
    try {
      await swarm.updateConfigLabels(config, labels)
      return true
    } catch (error) {
      if (!(error instanceof PortError && error.kind === 'Conflict') || left === 1) throw error
    }
  }
}

function isRecordOf(vm: VmName, config: SwarmConfig): boolean {
  return readPlacementRecords([config])[0]?.vm === vm
}

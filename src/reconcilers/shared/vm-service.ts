import { managedBy, objectLabels } from '../../api/labels.ts'
import { inRunner } from '../../api/layout.ts'
import { memoised } from '../../api/memoised.ts'
import { isUid, servicePrefix, vmNameAfter, type VmName, type VmUid } from '../../api/names.ts'
import type { SwarmService, SwarmTask } from '../../ports/swarm.ts'
import { dig, rawList, rawNumber, rawString } from './raw.ts'

/** The owner of the service `vm-<name>`. */
export type Ownership =
  | { readonly kind: 'absent' }
  /** `uid`: of its label, which anybody can write. `pinned`: its template has the uid too; without a record, the label is not enough. */
  | { readonly kind: 'ours'; readonly service: SwarmService; readonly uid: string; readonly pinned: boolean }
  /** It was ours, but `swarmvirt.managed-by` or every trace of its uid was removed: not touched. */
  | { readonly kind: 'lost'; readonly service: SwarmService }
  /** Never was ours. */
  | { readonly kind: 'foreign'; readonly service: SwarmService }

export function ownershipOf(vm: VmName, service: SwarmService | undefined): Ownership {
  if (service === undefined) return { kind: 'absent' }
  const { labels } = service
  const named = labels[objectLabels.vm]
  const component = labels[objectLabels.component]
  if (labels[objectLabels.managedBy] === managedBy) {
    if ((named !== undefined && named !== vm) || (component !== undefined && component !== 'vm')) return { kind: 'foreign', service }
    const mounted = mountedUid(service)
    const uid = labels[objectLabels.uid] ?? mounted
    // Anybody can write the owner label. A service without a uid was not created by us.
    if (uid !== undefined) return { kind: 'ours', service, uid, pinned: mounted === uid }
  }
  const traces = named === vm || labels[objectLabels.uid] !== undefined || mountedUid(service) !== undefined
  return traces ? { kind: 'lost', service } : { kind: 'foreign', service }
}

/** Ours and of this uid; without a record the template must have the uid too. Used both to remove a VM and to wait for its removal. */
export function isServiceOf(record: { readonly uid: VmUid } | undefined, owned: Ownership): boolean {
  return owned.kind === 'ours' && (record === undefined ? owned.pinned : owned.uid === record.uid)
}

/** The uid whose directory the template mounts, in case the label was lost. */
function mountedUid({ spec }: Pick<SwarmService, 'spec'>): VmUid | undefined {
  const mounts = rawList(dig(spec, 'TaskTemplate', 'ContainerSpec', 'Mounts'))
  const source = rawString(
    dig(
      mounts.find((one) => dig(one, 'Target') === inRunner.vm),
      'Source',
    ),
  )
  const uid = source?.slice(source.lastIndexOf('/') + 1)
  return uid !== undefined && isUid(uid) ? uid : undefined
}

/** Every uid in the service's labels and mounts. */
export function uidsNamedBy(service: SwarmService): readonly VmUid[] {
  return [service.labels[objectLabels.uid], mountedUid(service)].filter((one) => one !== undefined && isUid(one))
}

/** The VM name in the service's name. */
export function vmOf({ name }: Pick<SwarmService, 'name'>): VmName | undefined {
  return vmNameAfter(servicePrefix, name)
}

/**
 * True for our VMs and for those whose ownership was lost: these still use memory, and their tasks still depend on node labels.
 */
export const isVmService = memoised((service: SwarmService): boolean => {
  const vm = vmOf(service)
  return vm !== undefined && ['ours', 'lost'].includes(ownershipOf(vm, service).kind)
})

/** Memory reserved on its node. */
export function reservedBytes({ spec }: Pick<SwarmService, 'spec'>): number {
  return rawNumber(dig(spec, 'TaskTemplate', 'Resources', 'Reservations', 'MemoryBytes')) ?? 0
}

const ended = new Set(['complete', 'shutdown', 'failed', 'rejected', 'orphaned', 'remove'])

/** Swarm does not report the task as ended. An ended task's container may still exist. */
export function isLive(task: SwarmTask): boolean {
  return !ended.has(task.state)
}

/** Prefers tasks that are wanted running, then the one that changed last. */
export function currentTask(tasks: readonly SwarmTask[]): SwarmTask | undefined {
  const wanted = tasks.filter((one) => one.desiredState === 'running' || one.desiredState === 'ready')
  const candidates = wanted.length > 0 ? wanted : tasks.filter(isLive)
  return candidates.toSorted((a, b) => Date.parse(b.updatedAt) - Date.parse(a.updatedAt) || (a.id < b.id ? -1 : 1))[0]
}

/** The only config that a VM's template refers to. */
export function launchConfigName(service: Pick<SwarmService, 'spec'>): string | undefined {
  return rawString(dig(rawList(dig(service.spec, 'TaskTemplate', 'ContainerSpec', 'Configs'))[0], 'ConfigName'))
}

/** The task runs a previous template: Swarm has not replaced it yet, or the manager that answered lags behind. */
export function isOfEarlierTemplate({ configs }: SwarmTask, service: Pick<SwarmService, 'spec'>): boolean {
  const wanted = launchConfigName(service)
  return configs !== undefined && wanted !== undefined && !configs.includes(wanted)
}

/** A boot under emulation takes a minute or two; after this time, polling every second is not worth it. */
const youngMs = 300_000

/** Its state changed within the last five minutes. */
export function isYoung(task: SwarmTask | undefined, nowMs: number): boolean {
  return task !== undefined && nowMs - Date.parse(task.updatedAt) < youngMs
}

export function replicasOf(service: Pick<SwarmService, 'spec'>): number {
  return rawNumber(dig(service.spec, 'Mode', 'Replicated', 'Replicas')) ?? 0
}

import { managedBy, objectLabels } from '../../api/labels.ts'
import { inRunner } from '../../api/layout.ts'
import { memoised } from '../../api/memoised.ts'
import { serviceName, uidPattern, type VmName, type VmUid } from '../../api/names.ts'
import type { SwarmService, SwarmTask } from '../../ports/swarm.ts'
import { dig, rawList, rawNumber, rawString } from './raw.ts'

/** Whose the service called `vm-<name>` is. */
export type Ownership =
  | { readonly kind: 'absent' }
  /** `pinned`: its template names the uid too. Without a record, a label that anybody can write is not enough to go by. */
  | { readonly kind: 'ours'; readonly service: SwarmService; readonly uid: VmUid; readonly pinned: boolean }
  /** It was ours, or says so, and somebody took `swarmvirt.managed-by` or all that tells its uid away: left alone. */
  | { readonly kind: 'lost'; readonly service: SwarmService }
  /** It never was ours. */
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
    // Anybody can write the owner's label. What has no uid is nobody's disk, and was not made by us.
    if (uid !== undefined) return { kind: 'ours', service, uid, pinned: mounted === uid }
  }
  const traces = named === vm || labels[objectLabels.uid] !== undefined || mountedUid(service) !== undefined
  return traces ? { kind: 'lost', service } : { kind: 'foreign', service }
}

/** Ours, and of this identity; without a record the template has to say so too. Whoever removes a VM, and whoever waits for that, asks this. */
export function isServiceOf(record: { readonly uid: VmUid } | undefined, owned: Ownership): boolean {
  return owned.kind === 'ours' && (record === undefined ? owned.pinned : owned.uid === record.uid)
}

/** The uid whose directory a service's template mounts, for when its label was lost. */
function mountedUid({ spec }: Pick<SwarmService, 'spec'>): VmUid | undefined {
  const mounts = rawList(dig(spec, 'TaskTemplate', 'ContainerSpec', 'Mounts'))
  const source = rawString(
    dig(
      mounts.find((one) => dig(one, 'Target') === inRunner.vm),
      'Source',
    ),
  )
  const uid = source?.slice(source.lastIndexOf('/') + 1)
  return uid !== undefined && uidPattern.test(uid) ? uid : undefined
}

/** Every uid that a service names, whoever wrote it. */
export function uidsNamedBy(service: SwarmService): readonly VmUid[] {
  return [service.labels[objectLabels.uid], mountedUid(service)].filter((one) => one !== undefined)
}

/** The VM a service would be of, by its name. */
export function vmOf(service: Pick<SwarmService, 'name'>): VmName {
  const prefix = serviceName('')
  return service.name.startsWith(prefix) ? service.name.slice(prefix.length) : ''
}

/**
 * Runs a VM of ours, also where a person took it from us: that one is left alone, uses its memory, and dies with a node label that its constraints
 * name.
 */
export const isVmService = memoised((service: SwarmService): boolean => {
  const vm = vmOf(service)
  const { kind } = ownershipOf(vm, service)
  return vm !== '' && (kind === 'ours' || kind === 'lost')
})

/** Of its node's memory. */
export function reservedBytes({ spec }: Pick<SwarmService, 'spec'>): number {
  return rawNumber(dig(spec, 'TaskTemplate', 'Resources', 'Reservations', 'MemoryBytes')) ?? 0
}

const ended = new Set(['complete', 'shutdown', 'failed', 'rejected', 'orphaned', 'remove'])

/** Swarm does not say that it is over. That says nothing about whether its container is gone (LAB.md). */
export function isLive(task: SwarmTask): boolean {
  return !ended.has(task.state)
}

/** The task that counts: wanted running before not, then the one that changed last. */
export function currentTask(tasks: readonly SwarmTask[]): SwarmTask | undefined {
  const wanted = tasks.filter((one) => one.desiredState === 'running' || one.desiredState === 'ready')
  const candidates = wanted.length > 0 ? wanted : tasks.filter(isLive)
  return candidates.toSorted((a, b) => Date.parse(b.updatedAt) - Date.parse(a.updatedAt) || (a.id < b.id ? -1 : 1))[0]
}

/** The one config that a VM's template refers to. */
export function launchConfigName(service: Pick<SwarmService, 'spec'>): string | undefined {
  return rawString(dig(rawList(dig(service.spec, 'TaskTemplate', 'ContainerSpec', 'Configs'))[0], 'ConfigName'))
}

/** Swarm has not replaced it yet, or who was asked does not know: it runs what the template was before. */
export function isOfEarlierTemplate({ configs }: SwarmTask, service: Pick<SwarmService, 'spec'>): boolean {
  const wanted = launchConfigName(service)
  return configs !== undefined && wanted !== undefined && !configs.includes(wanted)
}

/** A boot under emulation takes a minute or two; what has not come in this time is not worth looking for every second. */
const youngMs = 300_000

/** Swarm changed its state within the last minutes. */
export function isYoung(task: SwarmTask | undefined, nowMs: number): boolean {
  return task !== undefined && nowMs - Date.parse(task.updatedAt) < youngMs
}

export function replicasOf(service: Pick<SwarmService, 'spec'>): number {
  return rawNumber(dig(service.spec, 'Mode', 'Replicated', 'Replicas')) ?? 0
}

import { managedBy, nodeLabels, objectLabels } from '../../api/labels.ts'
import { memoised } from '../../api/memoised.ts'
import { serviceName, type VmName, type VmUid } from '../../api/names.ts'
import type { RawSpec, SwarmService, SwarmTask } from '../../ports/swarm.ts'
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
    const constrained = constrainedUid(vm, service)
    const uid = labels[objectLabels.uid] ?? constrained
    // Anybody can write the owner's label. What has no uid is nobody's disk, and was not made by us.
    if (uid !== undefined) return { kind: 'ours', service, uid, pinned: constrained === uid }
  }
  const traces = named === vm || labels[objectLabels.uid] !== undefined || constrainedUid(vm, service) !== undefined
  return traces ? { kind: 'lost', service } : { kind: 'foreign', service }
}

/** Ours, and of this identity; without a record the template has to say so too. Whoever removes a VM, and whoever waits for that, asks this. */
export function isServiceOf(record: { readonly uid: VmUid } | undefined, owned: Ownership): boolean {
  return owned.kind === 'ours' && (record === undefined ? owned.pinned : owned.uid === record.uid)
}

/** The uid a service's own placement constraint names, for when its label was lost. */
function constrainedUid(vm: VmName, service: SwarmService): VmUid | undefined {
  return labelConstraints(service).find((one) => one.label === nodeLabels.vm(vm))?.value
}

export interface LabelConstraint {
  readonly label: string
  readonly value: string
}

/** The `node.labels.X==Y` constraints of a service's present spec, which is what Swarm holds running tasks to. */
export function labelConstraints({ spec }: Pick<SwarmService, 'spec'>): readonly LabelConstraint[] {
  return constraintsOf(spec)
}

/** By the spec: every look at a node reads those of all services. */
const constraintsOf = memoised(constraintsIn)

function constraintsIn(spec: RawSpec): readonly LabelConstraint[] {
  return rawList(dig(spec, 'TaskTemplate', 'Placement', 'Constraints')).flatMap((text) => {
    const match = typeof text === 'string' ? /^\s*node\.labels\.([^\s=!]+)\s*==\s*(.*?)\s*$/.exec(text) : null
    return match?.[1] === undefined || match[2] === undefined ? [] : [{ label: match[1], value: match[2] }]
  })
}

/** Every uid that a service names, whoever wrote it; of its constraints all values, which are no uids where they are of something else. */
export function uidsNamedBy(service: SwarmService): readonly VmUid[] {
  const label = service.labels[objectLabels.uid]
  return [...(label === undefined ? [] : [label]), ...labelConstraints(service).map(({ value }) => value)]
}

/** The VM a service would be of, by its name. */
export function vmOf(service: Pick<SwarmService, 'name'>): VmName {
  const prefix = serviceName('')
  return service.name.startsWith(prefix) ? service.name.slice(prefix.length) : ''
}

/**
 * Runs a VM of ours, also where a person took it from us: that one is left alone, uses its memory, and would be killed by a node label that is taken
 * from under it.
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

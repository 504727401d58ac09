import type { ConditionDraft } from '../../api/conditions.ts'
import { objectLabels } from '../../api/labels.ts'
import type { DriftKind } from '../../api/drift-kinds.ts'
import type { Labels, RawSpec, SwarmService } from '../../ports/swarm.ts'
import type { AssumedPlacement } from '../shared/assumed-placements.ts'
import { carries, vmObjectLabels } from '../shared/vm-objects.ts'
import { currentTask, isYoung, replicasOf, reservedBytes } from '../shared/vm-service.ts'
import { rawObject } from '../shared/raw.ts'
import type { ServicesAction, ServicesPlan, UpdateService } from './actions.ts'
import { nameOwned, readiness, restartRequired } from './conditions.ts'
import { type Context, contextOf, type Present, type Target } from './context.ts'
import { type Decision, decide } from './decide.ts'
import type { Held } from './drift.ts'
import { objectsFor, unusedObjects } from './objects.ts'
import { bridgeNote, moveTo } from './move.ts'
import type { ServicesSeen } from './observe.ts'
import { renderedHash, serviceLabels, surroundings } from './render.ts'

/** Tasks send no events, but the informer lists all of them every few seconds and requeues their VMs. Only recently changed tasks are polled faster. */
const pollMs = 60_000
/** The service is ready, and an event or a resync reports any change. */
const wellMs = 1_800_000
const pollSoonMs = 500

export function planUpdate(seen: ServicesSeen, declaration: Present, target: Target, nowMs: number): ServicesPlan {
  const context = contextOf(seen, declaration, target, nowMs)
  const { inputs } = context
  const decision = decide(context)
  const actions = actionsOf(context, decision)
  const specs = [target.service.spec, ...(target.service.previousSpec === undefined ? [] : [target.service.previousSpec])]
  const unused = actions.length > 0 ? [] : unusedObjects(seen, specs, [inputs.launchName, ...inputs.secrets.map(({ name }) => name)], nowMs)
  const ready = readiness(context, decision)
  return {
    actions: [...actions, ...unused],
    conditions: [nameOwned(seen.vm), ready, restartRequired(context, decision)],
    next: { kind: 'requeueAfter', ms: nextMs(context, ready) },
    facts: taskFact(seen),
    ...(context.edits === undefined ? {} : { edits: context.edits }),
  }
}

function nextMs(context: Context, ready: ConditionDraft): number {
  if (ready.status !== 'True') return isMoving(context) ? pollSoonMs : pollMs
  // No event tells that a task is no longer young.
  return forceNoted(context) === context.forceUpdate ? wellMs : pollMs
}

function actionsOf(context: Context, decision: Decision): readonly ServicesAction[] {
  switch (decision.kind) {
    case 'write':
      return writeTemplate(context, decision)
    case 'restore':
      return restoreTemplate(context, decision)
    case 'leave':
      return leaveTemplate(context, decision)
    default:
      return decision satisfies never
  }
}

/** A task was just created or changed. A task that stays pending for minutes is not worth fast polling. */
function isMoving({ seen: { tasks }, nowMs }: Context): boolean {
  return tasks.length === 0 || tasks.some((task) => isYoung(task, nowMs))
}

/** The task whose guest must run for the VM to be Ready. */
function taskFact({ tasks }: ServicesSeen): Readonly<Record<string, string>> {
  const task = currentTask(tasks)
  return task?.state === 'running' ? { task: task.id } : {}
}

function writeTemplate(context: Context, decision: Extract<Decision, { kind: 'write' }>): readonly ServicesAction[] {
  const { seen, inputs, service, replicas } = context
  const template = renderedHash(decision.template, inputs.ports)
  const forceUpdate = context.forceUpdate + (decision.force ? 1 : 0)
  const labels = labelsOf(context, { applied: inputs.hash, desired: inputs.hash, template, drift: decision.drift }, forceUpdate)
  const Labels = decision.drift === undefined ? labels : restoring(context, labels)
  const TaskTemplate = { ...decision.template, ForceUpdate: forceUpdate }
  const spec = { ...service.spec, Labels, TaskTemplate, ...surroundings(replicas, inputs.ports) }
  const corrects: readonly DriftKind[] = [
    ...(decision.drift === undefined ? [] : (['template'] as const)),
    ...(isReplicasDrift(context) ? (['replicas'] as const) : []),
  ]
  const claim = claimOf(context, spec)
  const action = update(service, spec, 'template', decision.why, corrects)
  return [...objectsFor(seen, inputs, template), claim === undefined ? action : { ...action, claim }]
}

/** One edit may give several VMs more memory; without a claim, all of them would count the same free memory. */
function claimOf({ seen, service, uid }: Context, spec: RawSpec): AssumedPlacement | undefined {
  const { roomBytes, mark, node } = seen
  if (roomBytes === undefined || mark === undefined || node === undefined) return undefined
  const needed = reservedBytes({ spec })
  const spare = { memoryBytes: roomBytes - needed, diskBytes: Number.POSITIVE_INFINITY, vms: Number.POSITIVE_INFINITY }
  return { uid, nodeId: node.id, takes: { memoryBytes: needed - reservedBytes(service), diskBytes: 0 }, spare, mark }
}

function restoring({ service }: Context, labels: Labels): Labels {
  return { ...labels, [objectLabels.driftVersion]: String(service.version) }
}

/** Its configs and secrets still exist: `unusedObjects` keeps those that the previous spec refers to. */
function restoreTemplate(
  context: Context,
  { template, endpoint, held, why }: Extract<Decision, { kind: 'restore' }>,
): readonly ServicesAction[] {
  const { service, forceUpdate } = context
  const TaskTemplate = { ...template, ForceUpdate: forceUpdate }
  const around = { ...surroundings(context.replicasNow), EndpointSpec: endpoint }
  const Labels = { ...restoring(context, labelsOf(context, held)), ...bridgeNote(context) }
  const spec = { ...service.spec, Labels, TaskTemplate, ...around }
  return [update(service, spec, 'template', why, ['template'])]
}

/** Writes the template back byte for byte, except for constraints: any other difference would restart the VM. */
function leaveTemplate(context: Context, decision: Extract<Decision, { kind: 'leave' }>): readonly ServicesAction[] {
  const { service } = context
  const replicas = context.replicasNow
  const move = moveTo(context, decision.held)
  const held = move?.held ?? decision.held
  const mark = held.drift === undefined ? undefined : service.labels[objectLabels.driftVersion]
  const known = { ...labelsOf(context, held), ...(mark === undefined ? {} : { [objectLabels.driftVersion]: mark }) }
  const labels = { ...known, ...bridgeNote(context) }
  const { Mode, UpdateConfig, RollbackConfig } = surroundings(replicas)
  const policy = {
    UpdateConfig: overlay(service, 'UpdateConfig', UpdateConfig),
    RollbackConfig: overlay(service, 'RollbackConfig', RollbackConfig),
  }
  const sameLabels = carries(service.labels, labels) && carries(labels, service.labels)
  const samePolicy = holds(service, 'UpdateConfig', UpdateConfig) && holds(service, 'RollbackConfig', RollbackConfig)
  if (sameLabels && samePolicy && replicasOf(service) === replicas) return []
  const kinds: readonly (readonly [DriftKind, boolean])[] = [
    ['service_labels', lostLabels(context, known)],
    ['replicas', isReplicasDrift(context)],
    ['update_policy', !samePolicy],
  ]
  const corrects = kinds.flatMap(([kind, isDrift]) => (isDrift ? [kind] : []))
  const TaskTemplate = move?.template ?? service.spec['TaskTemplate']
  const spec = { ...service.spec, Labels: labels, TaskTemplate, Mode, ...policy }
  return [...(move?.actions ?? []), update(service, spec, 'surroundings', move?.why ?? decision.why, corrects)]
}

/** A difference in replicas is drift only within one generation and run; otherwise the manifest changed, or somebody started or stopped the VM. */
function isReplicasDrift(context: Context): boolean {
  const { service, generation } = context
  const isAsked = !carries(service.labels, context.runLabels)
  return !isAsked && replicasOf(service) !== context.replicasNow && service.labels[objectLabels.generation] === generation
}

/** All our labels are written together, so a missing one was removed. Only the identity among the existing ones must never change. */
function lostLabels({ seen, service, uid }: Context, wanted: Labels): boolean {
  const identity = vmObjectLabels('vm', { cluster: seen.settings.cluster, vm: seen.vm, uid })
  return !carries(service.labels, identity) || Object.keys(wanted).some((key) => service.labels[key] === undefined)
}

function update(
  service: SwarmService,
  spec: RawSpec,
  touches: UpdateService['touches'],
  why: string,
  corrects: readonly DriftKind[],
): UpdateService {
  const { id, name, version } = service
  return { kind: 'updateService', id, name, version, spec, touches, why, corrects }
}

/** Keeps foreign labels and sets ours. */
function labelsOf(context: Context, held: Held & { readonly desired?: string }, forceUpdate: number = forceNoted(context)): Labels {
  const { seen, service, uid, node, wantedHash } = context
  const generation = generationActedOn(context)
  const {
    [objectLabels.driftHash]: _drift,
    [objectLabels.driftVersion]: _version,
    [objectLabels.bridge]: _bridge,
    [objectLabels.run]: _run,
    [objectLabels.finished]: _finished,
    ...rest
  } = service.labels
  const of = { cluster: seen.settings.cluster, vm: seen.vm, uid }
  return { ...rest, ...context.runLabels, ...serviceLabels(of, { node, generation, desired: wantedHash, forceUpdate, ...held }) }
}

/**
 * Remembers a manual restart until the node has checked the edit that waits for it. Forgets it once the guest has run for minutes: the check may take
 * weeks, and nobody expects another restart then.
 */
function forceNoted({ check, service, forceUpdate, seen, nowMs }: Context): number {
  const noted = Number(service.labels[objectLabels.forceUpdate] ?? forceUpdate)
  const task = currentTask(seen.tasks)
  const isSettled = task?.state === 'running' && !isYoung(task, nowMs)
  return check === 'unchecked' && !isSettled ? noted : forceUpdate
}

/** Keeps the old generation while the new replicas are not written: they would look like drift. */
function generationActedOn(context: Context): string {
  const { service, generation, replicas } = context
  return context.replicasNow === replicas ? generation : (service.labels[objectLabels.generation] ?? generation)
}

function overlay(service: SwarmService, field: string, wanted: unknown): RawSpec {
  return { ...rawObject(service.spec[field]), ...rawObject(wanted) }
}

function holds(service: SwarmService, field: string, wanted: unknown): boolean {
  const actual = rawObject(service.spec[field])
  return Object.entries(rawObject(wanted)).every(([key, value]) => actual[key] === value)
}

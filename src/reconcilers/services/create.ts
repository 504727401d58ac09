import { type ConditionDraft, condition } from '../../api/conditions.ts'
import { nodeLabels, objectLabels } from '../../api/labels.ts'
import { serviceName } from '../../api/names.ts'
import type { ServicesPlan } from './actions.ts'
import { inputsOf } from './inputs.ts'
import { serviceLabels } from './labels.ts'
import { objectsFor } from './objects.ts'
import type { ServicesSeen } from './observe.ts'
import { templateHashOf } from './projection.ts'
import { renderSpec, renderTemplate, surroundings } from './render.ts'

/** The record and the nodes' labels are written by other reconcilers, and each of their writes has this one look again. */
const lookAgainMs = 5_000

/** A service is made when there is a disk for it and the node says so: before that Swarm would only have a task pending. */
export function planCreate(seen: ServicesSeen, declaration: Extract<ServicesSeen['declaration'], { kind: 'present' }>): ServicesPlan {
  const { record, settings, vm, apiVersion } = seen
  const obstacle = whatIsMissing(seen)
  if (obstacle !== undefined || record === undefined) return waiting(obstacle ?? noRecord)
  const inputs = inputsOf(settings.cluster, declaration.vm, record.uid, record.disks)
  const render = { vm, settings, apiVersion, inputs, forceUpdate: 0 }
  const draft = renderTemplate({ ...render, ids: { launch: '', userData: '' } })
  const replicas = declaration.vm.spec.runStrategy === 'Always' ? 1 : 0
  const hash = templateHashOf(draft, surroundings(replicas)['EndpointSpec'])
  const objects = objectsFor(seen, inputs, hash)
  const creating = condition('ServiceReady', 'False', 'Creating', 'the service is being made')
  const hashes = { applied: inputs.hash, desired: inputs.hash, template: hash, drift: undefined }
  const labels = serviceLabels(
    { cluster: settings.cluster, vm, uid: record.uid },
    { node: record.node, generation: declaration.generation, forceUpdate: 0, ...hashes },
  )
  const spec = renderSpec(serviceName(vm), labels, replicas, renderTemplate({ ...render, ids: objects.ids }))
  const create = { kind: 'createService', name: serviceName(vm), spec } as const
  return { actions: [...objects.actions, create], conditions: [owned(seen), creating, noRestart()], next: again() }
}

interface Obstacle {
  readonly reason: string
  readonly message: string
}
const noRecord: Obstacle = { reason: 'WaitingForPlaced', message: 'the VM has no node yet' }

function whatIsMissing({ record, node, vm }: ServicesSeen): Obstacle | undefined {
  if (record?.node === undefined || record.retainedAt !== undefined || record.deletingAt !== undefined) return noRecord
  if (!record.disksMade) return { reason: 'WaitingForAssets', message: 'its disks are not made yet' }
  if (node?.labels[nodeLabels.vm(vm)] === record.uid) return undefined
  return {
    reason: 'WaitingForNodeLabel',
    message: `${node?.hostname ?? record.node} does not carry ${nodeLabels.vm(vm)}=${record.uid} yet`,
  }
}

function waiting({ reason, message }: Obstacle): ServicesPlan {
  const conditions = [noService(), condition('ServiceReady', 'False', reason, message), noRestart()]
  return { actions: [], conditions, next: again() }
}

function noService(): ConditionDraft {
  return condition('Owned', 'True', 'NoService', 'there is no service yet, and the name is free')
}

function owned({ vm }: ServicesSeen): ConditionDraft {
  return condition('Owned', 'True', 'Owned', `${serviceName(vm)} carries ${objectLabels.managedBy}`)
}

function noRestart(): ConditionDraft {
  return condition('RestartRequired', 'False', 'UpToDate', 'nothing runs that is older than the manifest')
}

function again(): ServicesPlan['next'] {
  return { kind: 'requeueAfter', ms: lookAgainMs }
}

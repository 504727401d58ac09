import { type ConditionDraft, condition } from '../../api/conditions.ts'
import { objectLabels } from '../../api/labels.ts'
import { serviceName } from '../../api/names.ts'
import type { PlacementRecord } from '../shared/placement-record.ts'
import type { ServicesPlan } from './actions.ts'
import { inputsOf } from './inputs.ts'
import { serviceLabels } from './labels.ts'
import { objectsFor } from './objects.ts'
import type { ServicesSeen } from './observe.ts'
import { renderedHash, renderTemplate, surroundings } from './render.ts'

/** The assets reconciler writes the record, and each of its writes requeues the VM; this delay is only the fallback. */
const lookAgainMs = 5_000

/** Creates the service once the disks exist: a task that starts earlier fails, because its bind mount has no source. */
export function planCreate(seen: ServicesSeen, declaration: Extract<ServicesSeen['declaration'], { kind: 'present' }>): ServicesPlan {
  const { record, node, settings, vm } = seen
  if (!isPlaced(record) || node === undefined) return waiting('WaitingForPlaced', 'the VM has no node yet')
  if (!record.disksMade) return waiting('WaitingForAssets', 'its disks do not exist yet')
  const inputs = inputsOf({ cluster: settings.cluster, vm: declaration.vm, uid: record.uid, disks: record.disks })
  const template = renderTemplate({ ...seen, inputs, node: record.node, forceUpdate: 0 })
  const hash = renderedHash(template)
  const objects = objectsFor(seen, inputs, hash)
  const creating = condition('ServiceReady', 'False', 'Creating', 'creating the service')
  const hashes = { applied: inputs.hash, desired: inputs.hash, template: hash, drift: undefined }
  const labels = serviceLabels(
    { cluster: settings.cluster, vm, uid: record.uid },
    { node: record.node, generation: declaration.generation, forceUpdate: 0, ...hashes },
  )
  const name = serviceName(vm)
  const replicas = declaration.vm.spec.runStrategy === 'Always' ? 1 : 0
  const spec = { Name: name, Labels: labels, TaskTemplate: template, ...surroundings(replicas) }
  return { actions: [...objects, { kind: 'createService', name, spec }], conditions: [owned(seen), creating, noRestart()], next: again() }
}

function isPlaced(record: PlacementRecord | undefined): record is PlacementRecord & { readonly node: string } {
  return record?.node !== undefined && record.retainedAt === undefined && record.deletingAt === undefined
}

function waiting(reason: string, message: string): ServicesPlan {
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
  return condition('RestartRequired', 'False', 'UpToDate', 'the running VM matches its manifest')
}

function again(): ServicesPlan['next'] {
  return { kind: 'requeueAfter', ms: lookAgainMs }
}

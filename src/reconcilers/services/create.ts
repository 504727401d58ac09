import { condition } from '../../api/conditions.ts'
import { serviceName, type NodeId } from '../../api/names.ts'
import type { PlacementRecord } from '../shared/placement-record.ts'
import { isSshPortMissing } from '../shared/ssh-port.ts'
import type { ServicesPlan } from './actions.ts'
import { nameFree, nameOwned, upToDate } from './conditions.ts'
import type { Present, Target } from './context.ts'
import { inputsOf } from './inputs.ts'
import { objectsFor } from './objects.ts'
import type { ServicesSeen } from './observe.ts'
import { renderedHash, renderTemplate, serviceLabels, surroundings } from './render.ts'

/** The assets reconciler writes the record, and each of its writes requeues the VM; this delay is only the fallback. */
const requeueAfterMs = 5_000

/** Creates the service once the disks exist: a task that starts earlier fails, because its bind mount has no source. */
export function planCreate(seen: ServicesSeen, declaration: Present, run: Pick<Target, 'replicas' | 'runLabels'>): ServicesPlan {
  const { record, node, settings, vm } = seen
  if (!isPlaced(record) || node === undefined) return waiting('WaitingForPlaced', 'the VM has no node yet')
  if (!record.disksMade) return waiting('WaitingForAssets', 'its disks do not exist yet')
  if (isSshPortMissing(declaration.vm, record)) return waiting('WaitingForAssets', 'its SSH port has not been chosen yet')
  if (seen.portConflict !== undefined) return waiting('PortTaken', seen.portConflict)
  const { uid, disks, grown, sshPort } = record
  const inputs = inputsOf({ cluster: settings.cluster, vm: declaration.vm, uid, disks, grown, sshPort })
  const template = renderTemplate({ ...seen, inputs, node: record.node, forceUpdate: 0 })
  const hash = renderedHash(template, inputs.ports)
  const objects = objectsFor(seen, inputs, hash)
  const creating = condition('ServiceReady', 'False', 'Creating', 'creating the service')
  const hashes = { applied: inputs.hash, desired: inputs.hash, template: hash, drift: undefined }
  const labels = serviceLabels(
    { cluster: settings.cluster, vm, uid: record.uid },
    { node: record.node, generation: declaration.generation, forceUpdate: 0, ...hashes },
  )
  const name = serviceName(vm)
  const spec = { Name: name, Labels: { ...run.runLabels, ...labels }, TaskTemplate: template, ...surroundings(run.replicas, inputs.ports) }
  return { actions: [...objects, { kind: 'createService', name, spec }], conditions: [nameOwned(vm), creating, upToDate()], next: again() }
}

function isPlaced(record: PlacementRecord | undefined): record is PlacementRecord & { readonly node: NodeId } {
  return record?.node !== undefined && record.retainedAt === undefined && record.deletingAt === undefined
}

function waiting(reason: string, message: string): ServicesPlan {
  const conditions = [nameFree(), condition('ServiceReady', 'False', reason, message), upToDate()]
  return { actions: [], conditions, next: again() }
}

function again(): ServicesPlan['next'] {
  return { kind: 'requeueAfter', ms: requeueAfterMs }
}

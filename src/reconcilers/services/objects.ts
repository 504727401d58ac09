import { objectLabels } from '../../api/labels.ts'
import type { RawSpec, SwarmSecret } from '../../ports/swarm.ts'
import { carries, isLeftOf, isMarked, vmObjectLabels, vmOfObject } from '../shared/vm-objects.ts'
import { dig, rawList } from '../shared/raw.ts'
import type { ServicesAction } from './actions.ts'
import type { Inputs } from './inputs.ts'
import type { ServicesSeen } from './observe.ts'

/**
 * The writes that come before the service. A name contains a hash of the content, so an existing name means the same content. The launch
 * config also has the hashes, in case the service loses them.
 */
export function objectsFor(seen: ServicesSeen, inputs: Inputs, templateHash: string): readonly ServicesAction[] {
  const of = { cluster: seen.settings.cluster, vm: seen.vm, uid: inputs.uid }
  const labels = { ...vmObjectLabels('launch', of), [objectLabels.appliedHash]: inputs.hash, [objectLabels.templateHash]: templateHash }
  const launch = seen.configs.find((one) => one.name === inputs.launchName && isMarked(one))
  const existing = new Set(seen.secrets.filter(isMarked).map(({ name }) => name))
  const actions: ServicesAction[] = []
  if (launch === undefined) actions.push({ kind: 'createConfig', name: inputs.launchName, labels, data: bytes(inputs.launchText) })
  else if (!carries(launch.labels, labels)) {
    actions.push({ kind: 'updateConfigLabels', config: launch, labels: { ...launch.labels, ...labels } })
  }
  // Both kinds have one component, which every release removes together with the VM.
  for (const { name, text } of inputs.secrets)
    if (!existing.has(name)) actions.push({ kind: 'createSecret', name, labels: vmObjectLabels('userdata', of), data: bytes(text) })
  return actions
}

/** Another controller may have created an object that its service does not refer to yet. */
const youngMs = 600_000

/** Configs and secrets of a VM that neither its service nor a rollback would use. */
export function unusedObjects(seen: ServicesSeen, specs: readonly RawSpec[], wanted: readonly string[], nowMs: number): ServicesAction[] {
  const used = new Set([...wanted, ...specs.flatMap(namesIn)])
  return removals(seen, (one) => !used.has(one.name) && nowMs - Date.parse(one.createdAt) > youngMs)
}

/** All objects but the placement record, for a VM whose service is gone. */
export function allObjects(seen: ServicesSeen): ServicesAction[] {
  return removals(seen, (one) => isLeftOf(seen.record, one))
}

function removals(seen: ServicesSeen, which: (one: SwarmSecret) => boolean): ServicesAction[] {
  const configs = seen.configs.filter((one) => vmOfObject('launch', one) === seen.vm && which(one))
  const secrets = seen.secrets.filter((one) => vmOfObject('userdata', one) === seen.vm && which(one))
  return [
    ...configs.map(({ id, name }): ServicesAction => ({ kind: 'removeConfig', id, name })),
    ...secrets.map(({ id, name }): ServicesAction => ({ kind: 'removeSecret', id, name })),
  ]
}

function namesIn(spec: RawSpec): string[] {
  const container = dig(spec, 'TaskTemplate', 'ContainerSpec')
  const names = [
    ...rawList(dig(container, 'Configs')).map((one) => dig(one, 'ConfigName')),
    ...rawList(dig(container, 'Secrets')).map((one) => dig(one, 'SecretName')),
  ]
  return names.filter((one) => typeof one === 'string')
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

import { objectLabels } from '../../src/api/labels.ts'
import type { RawSpec } from '../../src/ports/swarm.ts'
import { templateHashOf } from '../../src/reconcilers/services/projection.ts'
import { rawObject } from '../../src/reconcilers/shared/raw.ts'
import { launchConfigName } from '../../src/reconcilers/shared/vm-service.ts'
import type { SimulatedSwarm } from './simulated-swarm.ts'
import { serviceOf } from '../support/branded.ts'

/** The service of a placed VM as a release before ADR 0026 left it, with the label on its node and the hash of what it wrote, which its launch config notes too. */
export function placeByLabels({ swarm }: { readonly swarm: SimulatedSwarm }, vm: string): void {
  const service = swarm.service(serviceOf(vm))
  if (service === undefined) throw new Error(`${vm} has no service`)
  const uid = service.labels[objectLabels.uid] ?? ''
  const label = `swarmvirt.vm.${vm}`
  swarm.editNodeLabels(service.labels[objectLabels.node] ?? '', (labels) => void (labels[label] = uid))
  swarm.edit(service.name, (spec) => {
    const template = rawObject(spec['TaskTemplate'])
    const Constraints = [`node.labels.${label}==${uid}`, 'node.labels.vm-capable==true', 'node.labels.swarmvirt.bridge.br0==true']
    const placed: RawSpec = { ...template, Placement: { ...rawObject(template['Placement']), Constraints } }
    const note = { [objectLabels.templateHash]: templateHashOf({ ...spec, TaskTemplate: placed }) }
    spec['TaskTemplate'] = placed
    spec['Labels'] = { ...service.labels, ...note }
    for (const one of swarm.configs.values())
      if (one.name === launchConfigName(service)) swarm.configs.set(one.id, { ...one, labels: { ...one.labels, ...note } })
  })
}

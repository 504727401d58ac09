import { objectLabels } from '../../api/labels.ts'
import type { Labels, RawSpec } from '../../ports/swarm.ts'
import { formerBridge, launchOf } from '../shared/applied.ts'
import { pinnedToNode } from '../shared/constraints.ts'
import { rawObject } from '../shared/raw.ts'
import { isMarked } from '../shared/vm-objects.ts'
import { launchConfigName } from '../shared/vm-service.ts'
import type { ServicesAction } from './actions.ts'
import { asWritten } from './changed-fields.ts'
import type { Context } from './context.ts'
import type { Held } from './drift.ts'
import { templateHashOf } from './projection.ts'

export interface Move {
  readonly template: RawSpec
  /** With the hash of that template. */
  readonly held: Held
  /** Applied before the template is written. */
  readonly actions: readonly ServicesAction[]
  readonly why: string
}

/**
 * New constraints for an unchanged template: an earlier release pinned the VM by a label, or its machine rejoined under another node ID.
 * Swarm restarts no task if the new constraints match. Undefined if nothing changes, if the template has drifted, or if the VM
 * runs on another node, where Swarm would reject its task.
 */
export function moveTo({ seen, service, node }: Context, held: Held): Move | undefined {
  if (node === undefined || seen.elsewhere !== undefined || held.template !== templateHashOf(service.spec)) return undefined
  const actual = rawObject(service.spec['TaskTemplate'])
  const template = pinnedToNode(actual, node)
  if (template === actual) return undefined
  const hash = templateHashOf({ ...service.spec, TaskTemplate: template })
  return {
    template,
    held: { ...held, template: hash },
    actions: noteOnLaunch({ seen, service }, hash),
    why: 'the VM is pinned to its node by another constraint',
  }
}

/** The launch config has the hash too, in case the service loses the label. */
function noteOnLaunch({ seen, service }: Pick<Context, 'seen' | 'service'>, hash: string): readonly ServicesAction[] {
  const config = seen.configs.find((one) => one.name === launchConfigName(service) && isMarked(one))
  if (config === undefined || config.labels[objectLabels.templateHash] === hash) return []
  return [{ kind: 'updateConfigLabels', config, labels: { ...config.labels, [objectLabels.templateHash]: hash } }]
}

/** Release 0.1 has the bridge only in a constraint, so a label keeps it while its launch config is in use. */
export function bridgeNote({ seen, service }: Pick<Context, 'seen' | 'service'>): Labels {
  const launch = launchOf(service, seen.configs)
  if (launch === undefined || launch.nics.every((one) => one.bridge !== undefined)) return {}
  const written = asWritten(service)
  const bridge = formerBridge(service) ?? (written && formerBridge({ spec: written, labels: {} }))
  return bridge === undefined ? {} : { [objectLabels.bridge]: bridge }
}

import { hashVersion, objectLabels } from '../../api/labels.ts'
import type { VmName, VmUid } from '../../api/names.ts'
import type { Labels } from '../../ports/swarm.ts'
import { vmObjectLabels } from '../shared/placement-record.ts'

export interface ServiceNotes {
  readonly node: string | undefined
  readonly generation: string
  readonly applied: string
  readonly desired: string
  readonly template: string
  readonly drift: string | undefined
  readonly forceUpdate: number
}

/** All swarmvirt labels of a VM's service. */
export function serviceLabels(of: { readonly cluster: string; readonly vm: VmName; readonly uid: VmUid }, notes: ServiceNotes): Labels {
  return {
    ...vmObjectLabels('vm', of),
    ...(notes.node === undefined ? {} : { [objectLabels.node]: notes.node }),
    [objectLabels.generation]: notes.generation,
    [objectLabels.appliedHash]: notes.applied,
    [objectLabels.desiredHash]: notes.desired,
    [objectLabels.templateHash]: notes.template,
    ...(notes.drift === undefined ? {} : { [objectLabels.driftHash]: notes.drift }),
    [objectLabels.hashVersion]: hashVersion,
    [objectLabels.forceUpdate]: String(notes.forceUpdate),
  }
}

import { managedBy, objectLabels } from '../../api/labels.ts'
import { vmNamePattern, type VmName, type VmUid } from '../../api/names.ts'
import type { Labels } from '../../ports/swarm.ts'

interface Labelled {
  readonly labels: Labels
}

/** An object without the owner label is never touched, even if it has the right name. */
export function isMarked({ labels }: Labelled): boolean {
  return labels[objectLabels.managedBy] === managedBy
}

/** The VM that this launch config or user data belongs to. */
export function vmOfObject(component: 'launch' | 'userdata', one: Labelled): VmName | undefined {
  const vm = one.labels[objectLabels.vm]
  return isMarked(one) && one.labels[objectLabels.component] === component && vm !== undefined && vmNamePattern.test(vm) ? vm : undefined
}

/** True if the object is removed with its VM; objects of another uid stay. Used both to remove them and to wait for their removal. */
export function isLeftOf(record: { readonly uid: VmUid } | undefined, { labels }: Labelled): boolean {
  return record === undefined || labels[objectLabels.uid] === record.uid
}

import { managedBy, objectLabels } from '../../api/labels.ts'
import { vmNamePattern, type VmName, type VmUid } from '../../api/names.ts'
import type { Labels } from '../../ports/swarm.ts'

interface Labelled {
  readonly labels: Labels
}

/** What lacks the owner's label is not touched, also where it has the right name. */
export function isMarked({ labels }: Labelled): boolean {
  return labels[objectLabels.managedBy] === managedBy
}

/** The VM whose launch config or user data this is. */
export function vmOfObject(component: 'launch' | 'userdata', one: Labelled): VmName | undefined {
  const vm = one.labels[objectLabels.vm]
  return isMarked(one) && one.labels[objectLabels.component] === component && vm !== undefined && vmNamePattern.test(vm) ? vm : undefined
}

/** It goes when its VM is removed. What another identity of this name left stays. Whoever removes it, and whoever waits for that, asks this. */
export function isLeftOf(record: { readonly uid: VmUid } | undefined, { labels }: Labelled): boolean {
  return record === undefined || labels[objectLabels.uid] === record.uid
}

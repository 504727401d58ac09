import { labelSchemaVersion, managedBy, objectLabels } from '../../api/labels.ts'
import { vmNameOf, type VmName, type VmUid } from '../../api/names.ts'
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
  return isMarked(one) && one.labels[objectLabels.component] === component ? vmNameOf(one.labels[objectLabels.vm]) : undefined
}

/** True if the object is removed with its VM; objects of another uid stay. Used both to remove them and to wait for their removal. */
export function isLeftOf(record: { readonly uid: VmUid } | undefined, { labels }: Labelled): boolean {
  return record === undefined || labels[objectLabels.uid] === record.uid
}

/** Labels of every Swarm object of one VM. */
export function vmObjectLabels(
  component: 'vm' | 'launch' | 'userdata' | 'placement',
  of: { readonly cluster: string; readonly vm: VmName; readonly uid: VmUid },
): Labels {
  return {
    [objectLabels.managedBy]: managedBy,
    [objectLabels.schema]: labelSchemaVersion,
    [objectLabels.component]: component,
    [objectLabels.cluster]: of.cluster,
    [objectLabels.vm]: of.vm,
    [objectLabels.uid]: of.uid,
  }
}

/** True if all wanted labels have the wanted values; others may exist. */
export function carries(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value)
}

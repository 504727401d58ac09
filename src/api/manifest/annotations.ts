import { at, type ManifestIssue } from './issue.ts'

/** Makes the guest another instance for cloud-init, which then runs again as at a first boot. */
export const cloudInitInstanceAnnotation = 'swarmvirt.dev/cloud-init-instance'

/** A person's word that the disks on this node are the VM's own, while the node of its record is down. */
export const followDiskAnnotation = 'swarmvirt.dev/follow-disk'

/** Allows one edit that destroys what is on a disk; the refusal of the edit says the value, which holds for that edit alone. */
export const replaceDisksAnnotation = 'swarmvirt.dev/replace-disks'
/** `"true"`: no changes are made for the VM, as with `docker vm suspend`. */
export const suspendAnnotation = 'swarmvirt.dev/suspend'

interface Form {
  readonly pattern: RegExp
  readonly help: string
}

/** Annotations of ours whose value has a form. */
export const annotationForms: Readonly<Record<string, Form>> = {
  // It becomes part of a directory's name in the guest.
  [cloudInitInstanceAnnotation]: {
    pattern: /^[A-Za-z0-9]([A-Za-z0-9._-]{0,38}[A-Za-z0-9])?$/,
    help: 'write a value that this VM has not had before: 1 to 40 letters, digits, ".", "_" or "-", such as "2"',
  },
  [followDiskAnnotation]: {
    pattern: /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/,
    help: 'write the ID or the name of the node on which the disks were seen, as docker node ls shows it',
  },
}

/** Whatever is no string is passed over: the schema says that already. */
export function wrongAnnotations(document: unknown): ManifestIssue[] {
  return Object.entries(annotationForms).flatMap(([name, { pattern, help }]) => {
    const path = ['metadata', 'annotations', name]
    const value = at(document, path)
    if (typeof value !== 'string' || pattern.test(value)) return []
    return [{ code: 'VM010', path, message: `"${value.slice(0, 60)}" is no value of ${name}`, help }]
  })
}

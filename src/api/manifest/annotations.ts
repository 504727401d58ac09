import { at, type ManifestIssue } from './issue.ts'

/** Makes cloud-init treat the guest as a new instance, so it runs again as at a first boot. */
export const cloudInitInstanceAnnotation = 'swarmvirt.dev/cloud-init-instance'

/** An operator confirms that the disks on this node belong to the VM, while the node in its record is down. */
export const followDiskAnnotation = 'swarmvirt.dev/follow-disk'

/** Allows one edit that destroys what is on a disk; the refusal of the edit says the value, which holds for that edit alone. */
export const replaceDisksAnnotation = 'swarmvirt.dev/replace-disks'
/** `"true"`: no changes are made for the VM, as with `docker vm suspend`. */
export const suspendAnnotation = 'swarmvirt.dev/suspend'

interface Form {
  readonly pattern: RegExp
  readonly help: string
}

/** Our annotations whose values have a format. */
export const annotationForms: Readonly<Record<string, Form>> = {
  // The value becomes part of a directory name in the guest.
  [cloudInitInstanceAnnotation]: {
    pattern: /^[A-Za-z0-9]([A-Za-z0-9._-]{0,38}[A-Za-z0-9])?$/,
    help: 'write a value that this VM has not had before: 1 to 40 letters, digits, ".", "_" or "-", such as "2"',
  },
  [followDiskAnnotation]: {
    pattern: /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/,
    help: 'write the ID or the name of the node on which the disks were seen, as docker node ls shows it',
  },
}

/** A value that is not a string is skipped: the schema reports it. */
export function wrongAnnotations(document: unknown): ManifestIssue[] {
  return Object.entries(annotationForms).flatMap(([name, { pattern, help }]) => {
    const path = ['metadata', 'annotations', name]
    const value = at(document, path)
    if (typeof value !== 'string' || pattern.test(value)) return []
    return [{ code: 'VM010', path, message: `"${value.slice(0, 60)}" is not a valid value of ${name}`, help }]
  })
}

import { objectLabels, suspendedBy } from '../../api/labels.ts'
import { suspendAnnotation } from '../../api/manifest/annotations.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { VmName } from '../../api/names.ts'
import type { Declaration } from '../../ports/declarations.ts'
import type { Next } from '../reconciler.ts'
import type { PlacementRecord } from './placement-record.ts'

/** Why no changes are made for a VM. */
export interface Suspension {
  readonly by: 'command' | 'manifest'
  /** Shown to users; says how to resume. */
  readonly message: string
}

/**
 * Derived from the placement record and the manifest at every reconcile, so a controller that just started knows it before its first write.
 * The manifest decides; once it is removed, the label on the record counts.
 */
export function suspensionOf(
  vm: VmName,
  declaration: Declaration,
  record: Pick<PlacementRecord, 'config'> | undefined,
): Suspension | undefined {
  const noted = record?.config.labels[objectLabels.suspended]
  const resume = `docker vm resume ${vm}`
  if (noted === suspendedBy.command) return suspended('command', declaration, resume)
  if (declaration.kind !== 'present') return noted === suspendedBy.manifest ? suspended('manifest', declaration, resume) : undefined
  if (!isSuspendedIn(declaration.vm)) return undefined
  return suspended('manifest', declaration, `${suspendAnnotation}: "true" is removed from its manifest`)
}

export function isSuspendedIn({ metadata }: Pick<VirtualMachine, 'metadata'>): boolean {
  return metadata.annotations[suspendAnnotation] === 'true'
}

function suspended(by: Suspension['by'], declaration: Declaration, until: string): Suspension {
  const who = by === 'command' ? 'suspended by docker vm suspend' : 'suspended by its manifest'
  const what = declaration.kind === 'removed' ? 'its manifest was removed, but the VM is not removed' : 'no changes are made'
  return { by, message: `${who}: ${what} until ${until}` }
}

/** The message of a condition that cannot be checked while the VM is suspended. */
export const notChecked = 'not checked while the VM is suspended'

/** A suspended VM is still observed. */
export function whileSuspended({ by, message }: Suspension, ms: number): Next {
  return { kind: 'suspended', ms, reason: by === 'command' ? 'SuspendedByCommand' : 'SuspendedByManifest', message }
}

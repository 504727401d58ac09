import { objectLabels, suspendedBy } from '../../api/labels.ts'
import { suspendAnnotation } from '../../api/manifest/document.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { VmName } from '../../api/names.ts'
import type { Declaration } from '../../ports/declarations.ts'
import type { Next } from '../reconciler.ts'
import type { PlacementRecord } from './placement-record.ts'

/** Why nothing is written for a VM. */
export interface Suspension {
  readonly by: 'command' | 'manifest'
  /** For people, with the way out of it. */
  readonly message: string
}

/**
 * Read from the world at every look, the placement record being part of it: a controller that has just started knows it before it writes anything.
 * A manifest says by itself whether it suspends; once it is taken away, the note counts that was made of it.
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
  return suspended('manifest', declaration, `its manifest does not say ${suspendAnnotation}: "true" any more`)
}

export function isSuspendedIn({ metadata }: Pick<VirtualMachine, 'metadata'>): boolean {
  return metadata.annotations[suspendAnnotation] === 'true'
}

function suspended(by: Suspension['by'], declaration: Declaration, until: string): Suspension {
  const who = by === 'command' ? 'suspended by docker vm suspend' : 'suspended by its manifest'
  const what = declaration.kind === 'removed' ? 'its manifest was taken away, and its removal is held back' : 'nothing is written for it'
  return { by, message: `${who}: ${what} until ${until}` }
}

/** What is not asked for, so that nobody takes an old answer for a new one. */
export const notAsked = 'not asked for while the VM is suspended'

/** It is still looked at, as often as its plan wants it where that writes nothing. */
export function whileSuspended({ by, message }: Suspension, ms: number): Next {
  return { kind: 'suspended', ms, reason: by === 'command' ? 'SuspendedByCommand' : 'SuspendedByManifest', message }
}

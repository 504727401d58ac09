import { nodeLabels } from '../../api/labels.ts'
import type { VmName } from '../../api/names.ts'
import type { DriftKind } from '../../ports/metrics.ts'

/**
 * What an action puts back, for the counter; nothing where it carries out what somebody asked for. Actions are read by their shape, since the
 * runtime knows no reconciler; that a VM had a service before only the runtime remembers.
 */
export function driftOf(action: unknown, hadService: boolean): readonly DriftKind[] {
  const { kind, corrects } = action as Shape
  if (kind === 'createService') return hadService ? ['service'] : []
  return corrects ?? []
}

interface Shape {
  readonly kind?: unknown
  readonly name?: unknown
  readonly corrects?: readonly DriftKind[]
  readonly changed?: readonly string[]
}

const who = 'somebody other than swarmvirt'

/** The same for people; undefined where nothing was put back. Docker keeps no record of who changed what: it was not swarmvirt, and that is all. */
export function driftText(action: unknown, hadService: boolean): string | undefined {
  const { kind, name, changed = [] } = action as Shape
  const [what] = driftOf(action, hadService)
  if (what === undefined) return undefined
  switch (kind) {
    case 'createService':
      return `${who} removed the service ${String(name)}; it is made again`
    case 'createRecord':
      return `${who} removed the config ${String(name)}, the placement record; it is written again`
    case 'updateRecordLabels':
      return `${who} took labels from the placement record; they are put back`
    default: {
      const fields = changed.length === 0 ? what : changed.join(', ')
      return `${who} changed the service ${String(name)} (${fields.slice(0, longest)}); it is put back`
    }
  }
}

/** Of one event. */
const longest = 1_000

/** The same of a node's labels, for each VM that is pinned by one. */
export function nodeDrift(action: unknown): readonly { readonly vm: VmName; readonly message: string }[] {
  const { node, taken = [] } = action as { readonly node?: { readonly hostname: string }; readonly taken?: readonly string[] }
  return taken.map((label) => ({
    vm: label.slice(nodeLabels.vmPrefix.length),
    message: `${who} took or changed the label ${label} of node ${node?.hostname}; it is put back`,
  }))
}

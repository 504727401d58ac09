import { differences } from '../../api/manifest/differences.ts'
import type { Edit } from '../../api/manifest/edits.ts'
import { afterRestart, isTakenByQemu } from '../../api/manifest/live-fields.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { VmPlan } from '../../api/wire/plan.ts'
import type { ControllerApi } from '../../ports/controller-api.ts'
import type { SourceSnapshot } from '../../api/manifest/source-documents.ts'
import { resolveClasses } from '../../api/manifest/resolve-classes.ts'
import { editLine } from '../output/edit-lines.ts'
import type { Outcome } from '../output/outcome.ts'
import { aligned } from '../output/table.ts'
import { validate } from '../offline/validate.ts'

type DiffFormat = 'text' | 'json'

interface Difference {
  readonly name: string
  readonly change: 'new' | 'changed' | 'same'
  readonly edits: readonly Edit[]
}

/** Compares the given manifests with the applied ones. Exits 0 without changes, 1 with changes, 2 if they cannot be determined. */
export async function diffManifests(
  api: Pick<ControllerApi, 'manifest' | 'plan'>,
  given: readonly SourceSnapshot[],
  beside: readonly SourceSnapshot[],
  format: DiffFormat,
): Promise<Outcome> {
  const judged = validate([...given, ...beside], 'text')
  if (judged.exit !== 0) return { exit: 2, out: '', err: `${judged.err}${judged.out}` }
  const documents = resolveClasses([...given, ...beside]).flatMap((snapshot) => snapshot.documents)
  const found: Difference[] = []
  for (const document of documents) if (document.ok) found.push(await differenceOf(api, document.vm))
  return told(found, format)
}

async function differenceOf(api: Pick<ControllerApi, 'manifest' | 'plan'>, vm: VirtualMachine): Promise<Difference> {
  const { name } = vm.metadata
  const declared = await api.manifest(name)
  if (declared === undefined) return { name, change: 'new', edits: [] }
  const edits = await asTheyApply(api, name, differences(declared.manifest, vm))
  return { name, change: edits.length === 0 ? 'same' : 'changed', edits }
}

/** Only the VM's plan tells whether its QEMU takes an edit. */
async function asTheyApply(api: Pick<ControllerApi, 'plan'>, name: string, edits: readonly Edit[]): Promise<readonly Edit[]> {
  if (!edits.some(isTakenByQemu)) return edits
  return (await api.plan(name))?.liveEdits === true ? edits : afterRestart(edits)
}

/** Compares the running VMs with their manifests. */
export function diffRunning(plans: readonly VmPlan[], format: DiffFormat): Outcome {
  return told(
    plans.map(({ name, edits }) => ({ name, change: edits.length === 0 ? 'same' : 'changed', edits })),
    format,
  )
}

function told(found: readonly Difference[], format: DiffFormat): Outcome {
  const different = found.some((one) => one.change !== 'same')
  const exit = different ? 1 : 0
  if (format === 'json') return { exit, out: `${JSON.stringify({ different, virtualMachines: found }, null, 2)}\n`, err: '' }
  return { exit, out: found.map(shown).join(''), err: '' }
}

function shown({ name, change, edits }: Difference): string {
  switch (change) {
    case 'same':
      return ''
    case 'new':
      return `+ ${name}: new\n`
    case 'changed':
      return `~ ${name}\n${aligned(edits.map(editLine)).replaceAll(/^(?=.)/gm, '    ')}`
    default:
      return change satisfies never
  }
}

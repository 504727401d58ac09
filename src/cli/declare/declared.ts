import { type SourceSnapshot, subjectOf } from '../../api/manifest/source-documents.ts'
import type { ManifestText } from '../../ports/manifest-texts.ts'
import type { ObjectName } from './manifest-configs.ts'
import type { Outcome } from '../output/outcome.ts'
import { validate } from '../offline/validate.ts'

/** Input of a verb that writes: the result of the manifest reader, and the exact text of each document. */
export interface ReadTexts {
  readonly snapshots: readonly SourceSnapshot[]
  readonly files: readonly { readonly file: string; readonly texts: readonly ManifestText[] }[]
}

export interface Declared extends ManifestText {
  readonly file: string
}

/** The documents of all files, or the outcome with their errors. `beside` has other objects that they may refer to. */
export function declaredIn(read: ReadTexts, beside: readonly SourceSnapshot[]): readonly Declared[] | Outcome {
  const judged = validate([...read.snapshots, ...beside], 'text')
  if (judged.exit !== 0) return { exit: judged.exit, out: '', err: `${judged.err}${judged.out}nothing was changed\n` }
  const declared = read.files.flatMap(({ file, texts }) => texts.map((text) => ({ ...text, file })))
  // Validation and writing parse the same text separately. If the results differ, `--prune` would delete documents that were only missed.
  const judgedCount = read.snapshots.reduce((sum, snapshot) => sum + snapshot.documents.length, 0)
  if (judgedCount === declared.length) return declared
  throw new Error(
    `${judgedCount} documents were read, but only ${declared.length} could be extracted from their files; nothing was changed`,
  )
}

/** The names in the files, valid or not, or the outcome with the errors. A document need not be valid to be deleted. */
export function namedIn(read: ReadTexts): readonly ObjectName[] | Outcome {
  const nameless = read.snapshots.map((one) => ({ ...one, documents: one.documents.filter((each) => subjectOf(each) === undefined) }))
  const judged = validate(nameless, 'text')
  if (judged.exit !== 0) return { exit: judged.exit, out: '', err: `${judged.err}${judged.out}nothing was changed\n` }
  const known = new Set(kinds.values())
  return read.files.flatMap(({ texts }) => texts.filter((one) => known.has(one.kind) && one.name !== ''))
}

/** Whether a VM refers to a class, which may be in the Swarm already. */
export function leansOnClasses({ snapshots }: ReadTexts): boolean {
  return snapshots.some((snapshot) => snapshot.documents.some((document) => document.ok && 'className' in document))
}

export function isOutcome(value: readonly ObjectName[] | Outcome): value is Outcome {
  return 'exit' in value
}

/** Parses `virtualmachine/web`, `vm/web` or `web`, and `virtualmachineclass/small` or `class/small`. Undefined for an unknown kind. */
export function objectNamed(text: string): ObjectName | undefined {
  const [name = '', ...before] = text.split('/').toReversed()
  const kind = kinds.get(before.length === 0 ? 'vm' : before.join('/').toLowerCase())
  return kind === undefined || name === '' ? undefined : { kind, name }
}

const machine = 'VirtualMachine'
export const machineClass = 'VirtualMachineClass'
const kinds: ReadonlyMap<string, string> = new Map([
  ['vm', machine],
  ['virtualmachine', machine],
  ['virtualmachines', machine],
  ['class', machineClass],
  ['virtualmachineclass', machineClass],
  ['virtualmachineclasses', machineClass],
])

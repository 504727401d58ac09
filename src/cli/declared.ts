import type { SourceSnapshot } from '../ports/manifest-source.ts'
import type { ManifestText } from '../ports/manifest-texts.ts'
import { type ObjectName, shownName } from './manifest-configs.ts'
import type { Outcome } from './outcome.ts'
import { validate } from './validate.ts'

/** What was read for a verb that writes: the judgement of the manifest reader, and each document word for word. */
export interface ReadTexts {
  readonly snapshots: readonly SourceSnapshot[]
  readonly files: readonly { readonly file: string; readonly texts: readonly ManifestText[] }[]
}

export interface Declared extends ManifestText {
  readonly file: string
}

/** Every document of every file once, or the outcome that says what is wrong with them. */
export function declaredIn(read: ReadTexts): readonly Declared[] | Outcome {
  const judged = validate(read.snapshots, 'text')
  if (judged.exit !== 0) return { exit: judged.exit, out: '', err: `${judged.err}${judged.out}nothing was changed\n` }
  const declared = onceEach(read.files.flatMap(({ file, texts }) => texts.map((text) => ({ ...text, file }))))
  const twice = doubles(declared)
  return twice.length === 0
    ? declared
    : { exit: 1, out: '', err: `${twice.map((line) => `error: ${line}\n`).join('')}nothing was changed\n` }
}

/** A file that is named twice, or also lies in a directory that is named, counts once. */
function onceEach(all: readonly Declared[]): readonly Declared[] {
  return [...new Map(all.map((one) => [`${one.file}\0${one.line}\0${shownName(one)}`, one])).values()]
}

function doubles(declared: readonly Declared[]): readonly string[] {
  const first = new Map<string, Declared>()
  return declared.flatMap((one) => {
    const before = first.get(shownName(one))
    if (before === undefined) first.set(shownName(one), one)
    return before === undefined ? [] : [`${shownName(one)} is declared twice: ${place(before)} and ${place(one)}`]
  })
}

function place({ file, line }: Declared): string {
  return `${file}:${line}`
}

export function isOutcome(value: readonly Declared[] | Outcome): value is Outcome {
  return 'exit' in value
}

/** `virtualmachine/web`, `vm/web` or `web`; `virtualmachineclass/small` or `class/small`. Undefined for a kind that there is not. */
export function objectNamed(text: string): ObjectName | undefined {
  const [name = '', ...before] = text.split('/').toReversed()
  const kind = kinds.get(before.length === 0 ? 'vm' : before.join('/').toLowerCase())
  return kind === undefined || name === '' ? undefined : { kind, name }
}

const machine = 'VirtualMachine'
const machineClass = 'VirtualMachineClass'
const kinds: ReadonlyMap<string, string> = new Map([
  ['vm', machine],
  ['virtualmachine', machine],
  ['virtualmachines', machine],
  ['class', machineClass],
  ['virtualmachineclass', machineClass],
  ['virtualmachineclasses', machineClass],
])

import type { VirtualMachine } from '../../src/api/manifest.ts'
import type { VmName } from '../../src/api/names.ts'
import type { ManifestSource, SourceDocument, SourceSnapshot } from '../../src/ports/manifest-source.ts'

export type Written =
  | { readonly kind: 'valid'; readonly vm: VirtualMachine; readonly generation: string }
  /** `name` undefined: so broken that not even the name can be read. */
  | { readonly kind: 'invalid'; readonly name: VmName | undefined }

/** A manifest source whose files are assigned by a test. */
export class SimulatedSource implements ManifestSource {
  readonly name: string
  readonly files = new Map<string, Written>()
  /** Why it cannot be read completely; empty while it can. Half of the files are missing from such a read. */
  unreadable = ''
  /** A hint is passed on unless this says no. */
  hints: () => boolean = () => true
  readonly #watchers = new Set<() => void>()
  /** What hints have named since the last read; undefined where one may have meant anything. */
  #named: Set<string> | undefined = new Set()
  #last: SourceSnapshot | undefined

  constructor(name: string) {
    this.name = name
  }

  async read(): Promise<SourceSnapshot> {
    const files = [...this.files].filter((_one, index) => this.unreadable === '' || index % 2 === 1)
    const documents = files.map(([file, written]) => documentOf(this.name, file, written))
    this.#named = new Set()
    this.#last = { source: this.name, complete: this.unreadable === '', message: this.unreadable, documents }
    return this.#last
  }

  /** As that of a directory: only contents of files that were there before, and nothing where it may be more than that. */
  async readHinted(): Promise<SourceSnapshot | undefined> {
    const [named, last] = [this.#named, this.#last]
    this.#named = new Set()
    this.#last = undefined
    if (named === undefined || named.size === 0 || last === undefined || !last.complete || this.unreadable !== '') return undefined
    const known = new Set(last.documents.map(({ origin }) => origin.file))
    if ([...named].some((file) => !known.has(file) || !this.files.has(file))) return undefined
    const documents = last.documents.map((one) => {
      const written = named.has(one.origin.file) ? this.files.get(one.origin.file) : undefined
      return written === undefined ? one : documentOf(this.name, one.origin.file, written)
    })
    this.#last = { ...last, documents }
    return this.#last
  }

  watch(onHint: () => void): () => void {
    this.#watchers.add(onHint)
    return () => void this.#watchers.delete(onHint)
  }

  /** Somebody changed this file, or who knows what. */
  touched(file?: string): void {
    if (!this.hints()) return
    if (file === undefined) this.#named = undefined
    else this.#named?.add(file)
    for (const watcher of this.#watchers) watcher()
  }
}

function documentOf(source: string, file: string, written: Written): SourceDocument {
  const origin = { source, file, line: 1 }
  if (written.kind === 'valid') return { ok: true, origin, vm: written.vm, generation: written.generation }
  const at = { file, line: 1, column: 1 }
  const issue = {
    code: 'VM012',
    path: ['spec'],
    message: 'unknown field "cpus"',
    ...at,
    rendered: `error[VM012]: unknown field\n --> ${file}:1:1`,
  }
  return { ok: false, origin, name: written.name, issues: [issue] }
}

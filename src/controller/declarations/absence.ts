import type { VmName } from '../../api/names.ts'
import type { Origin, SourceDocument } from '../../api/manifest/source-documents.ts'
import type { DeclareInput, DeclareState, OpaqueFile, VmMemory } from './state.ts'

/** An error is not an absence: these functions say why a document that was not seen may still exist. */
type Opaque = DeclareState['opaque']

export function fileKey(origin: Origin): string {
  return `${origin.source}/${origin.file}`
}

/** Files whose VM names cannot be read, and since when they have their content. */
export function opaqueFiles(before: DeclareState, documents: readonly SourceDocument[], input: DeclareInput): Opaque {
  const found = new Map<string, OpaqueFile>()
  for (const document of documents) {
    if (document.ok || document.name !== undefined) continue
    const key = fileKey(document.origin)
    const rendered = document.issues.map((issue) => issue.rendered).join('\n\n')
    const content = `${found.get(key)?.content ?? ''}${rendered}`
    const held = before.opaque.get(key)
    const { source } = document.origin
    const now = { sinceMs: input.nowMs, beganMs: input.wholeOf === source ? input.readAtMsOf.get(source) : undefined }
    const { sinceMs, beganMs } = held?.content === content ? held : now
    found.set(key, { source, sinceMs, beganMs, content, rendered })
  }
  return found
}

/** The errors of a VM's own file, if its VM names can no longer be read. */
export function brokenFile(memory: VmMemory, opaque: Opaque): VmMemory['state'] | undefined {
  const own = memory.origin === undefined ? undefined : opaque.get(fileKey(memory.origin))
  return own === undefined ? undefined : { kind: 'broken', rendered: own.rendered }
}

/** Why a document that is in no source may still exist; undefined if it certainly does not. */
export function whyUnknown(name: VmName, memory: VmMemory, opaque: Opaque, input: DeclareInput): string | undefined {
  if (!input.allRead) return 'waiting for a complete read of the manifests since the controller started'
  return incompleteIn(input) ?? notRead(name, memory, input) ?? hiddenIn([...opaque], memory)
}

/** The same for a document that left its own source while another source has one with this name. */
export function whyUnknownInSource(source: string, memory: VmMemory, opaque: Opaque, input: DeclareInput): string | undefined {
  if (!input.allRead) return `waiting for a complete read of the manifests since the controller started; source ${source} had this one`
  const own = [...opaque].filter(([, file]) => file.source === source)
  return incompleteIn(input) ?? hiddenIn(own, memory)
}

export function incompleteIn({ snapshots }: Pick<DeclareInput, 'snapshots'>): string | undefined {
  const incomplete = snapshots.find((snapshot) => !snapshot.complete)
  return incomplete === undefined ? undefined : `source ${incomplete.source} could not be read completely: ${incomplete.message}`
}

/** A source that this controller does not read may still have the document. */
function notRead(name: VmName, memory: VmMemory, { snapshots, ownedVms }: DeclareInput): string | undefined {
  const source = memory.origin?.source ?? ownedVms?.get(name)?.source
  if (source === undefined || snapshots.some((snapshot) => snapshot.source === source)) return undefined
  return `it was declared by source ${source}, which this controller does not read (--sources)`
}

/**
 * The document may have moved into a file that became unreadable since it was last seen. A file that was unreadable before that, or in the
 * same read, cannot contain it.
 */
function hiddenIn(files: readonly (readonly [string, OpaqueFile])[], { seenAtMs, origin }: VmMemory): string | undefined {
  const isBeside = (file: OpaqueFile): boolean => file.beganMs === seenAtMs && file.source === origin?.source
  const holder = files.find(([, file]) => seenAtMs === undefined || (file.sinceMs > seenAtMs && !isBeside(file)))
  return holder === undefined ? undefined : `it is in no readable manifest, and ${holder[0]} is broken and might contain it`
}

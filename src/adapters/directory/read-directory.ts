import { join } from 'node:path'
import type { ReadDocument, SourceSnapshot } from '../../api/manifest/source-documents.ts'
import { unreadableFile } from '../manifest/manifest-yaml.ts'
import { notAFile } from './bounded-file.ts'
import type { FileRead, ReadDocuments } from './hinted-read.ts'
import { UnsettledError } from './cached-files.ts'
import { codeOf, type FoundFile, maxDirectoryDepth, type Outcomes, type Walk } from './walk.ts'

export const source = 'directory'
/** Enough to keep the file system busy. */
const filesAtOnce = 16

/** Reads the files of a walk, in the order of their names. `prefix` is added to the paths in the results. */
export async function readFiles(
  walk: Walk,
  readDocuments: ReadDocuments,
  prefix: string,
  signal: AbortSignal | undefined,
): Promise<readonly FileRead[]> {
  const found: FileRead[] = []
  const files = walk.files.toSorted((a, b) => (a.shown < b.shown ? -1 : 1))
  for (let from = 0; from < files.length; from += filesAtOnce) {
    signal?.throwIfAborted()
    const some = files.slice(from, from + filesAtOnce).map(async (file) => {
      const shown = join(prefix, file.shown)
      const documents = await readFile({ ...file, shown }, walk, readDocuments)
      return { path: file.path, shown, documents: file.isTooDeep ? tooDeep(shown, documents, walk) : documents }
    })
    found.push(...(await Promise.all(some)))
    // Cached files are checked without a wait, so yield to the event loop in between.
    await walk.sourceFiles.nextTurn()
  }
  return found
}

export async function readFile(
  { path, shown, unreadable }: Omit<FoundFile, 'isTooDeep'>,
  { problems, leftMs }: Outcomes,
  readDocuments: ReadDocuments,
): Promise<readonly ReadDocument[]> {
  try {
    if (unreadable === undefined) return await readDocuments(path, shown)
  } catch (error) {
    if (error instanceof UnsettledError) {
      problems.push(`${shown}: ${error.message}`)
      leftMs.push(error.leftMs)
      return (error as UnsettledError<readonly ReadDocument[]>).before ?? []
    }
    return notRead(shown, problems, error instanceof Error && error.message === notAFile ? notAFile : codeOf(error))
  }
  return notRead(shown, problems, unreadable)
}

function notRead(shown: string, problems: string[], reason: string): readonly ReadDocument[] {
  problems.push(`${shown} cannot be read (${reason})`)
  return [unreadableFile(source, shown, `cannot be read: ${reason}`)]
}

/** Only manifests have a depth limit. Other files at that depth are ignored. */
function tooDeep(shown: string, documents: readonly ReadDocument[], { problems }: Outcomes): readonly ReadDocument[] {
  if (documents.some((one) => one.ok || one.otherKind === undefined)) {
    problems.push(`${shown} is more than ${maxDirectoryDepth} levels deep and is not read`)
  }
  return []
}

export function snapshotOf({ problems, leftMs }: Outcomes, files: readonly FileRead[]): SourceSnapshot {
  return {
    source,
    complete: problems.length === 0,
    message: problems.slice(0, 5).join('; '),
    ...(leftMs.length === 0 ? {} : { readAgainMs: Math.min(...leftMs) }),
    documents: files.flatMap((file) => file.documents),
  }
}

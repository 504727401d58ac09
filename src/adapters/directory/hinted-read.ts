import type { ReadDocument, SourceSnapshot } from '../../api/manifest/source-documents.ts'
import { revisionOf } from './revision.ts'
import type { Hinted, SourceFiles } from './source-files.ts'
import { hasMoved, type Walk } from './walk.ts'

/** Reads the documents of one file. */
export type ReadDocuments = (path: string, shown: string) => Promise<readonly ReadDocument[]>

export interface FileRead {
  readonly path: string
  readonly shown: string
  readonly documents: readonly ReadDocument[]
}

/** A complete read of one version of the directory, plus later edits. */
export interface WholeRead {
  readonly snapshot: SourceSnapshot
  readonly walk: Walk
  readonly revision: string | undefined
  readonly files: readonly FileRead[]
}

/** Above this many files or links, a full read costs little more. */
const mostFiles = 32
const mostFollowed = 64

/**
 * Reads only the changed files, on top of the last full read. Undefined if more may have changed. All directories, links and the revision must be the
 * same afterwards. Otherwise the files belong to another version, which needs a full read.
 */
export async function readOver(
  sourceFiles: SourceFiles,
  root: string,
  before: WholeRead,
  hinted: ReadonlySet<string>,
  readDocuments: ReadDocuments,
): Promise<WholeRead | undefined> {
  const { snapshot, walk, revision, files } = before
  if (!snapshot.complete || hinted.size === 0 || hinted.size > mostFiles || walk.followed.size > mostFollowed) return undefined
  const meant = files.filter(({ path }) => hinted.has(path))
  if (new Set(meant.map(({ path }) => path)).size < hinted.size) return undefined
  const read = new Map<FileRead, FileRead>()
  for (const file of meant) {
    const documents = await readDocuments(file.path, file.shown).catch(() => undefined)
    // The full read reports why the file is unreadable.
    if (documents === undefined) return undefined
    read.set(file, { ...file, documents })
  }
  const [isMoved, revisionNow] = await Promise.all([hasMoved(sourceFiles, walk), revisionOf(sourceFiles, root)])
  if (isMoved || revisionNow !== revision) return undefined
  const now = files.map((file) => read.get(file) ?? file)
  return { ...before, files: now, snapshot: { ...snapshot, documents: now.flatMap((file) => file.documents) } }
}

/** Collects the files that hints named since the last call of `take`. */
export function hintedFiles(): {
  readonly note: (what: Hinted) => void
  readonly peek: () => ReadonlySet<string>
  readonly take: () => ReadonlySet<string>
} {
  let paths = new Set<string>()
  let isMore = false
  /** Empty if a hint concerned more than the content of files. */
  const known = (): ReadonlySet<string> => (isMore ? new Set() : paths)
  return {
    note(what) {
      if (what === 'anything' || paths.size > mostFiles) isMore = true
      else if (what !== 'entries') paths.add(what.file)
    },
    peek: known,
    take() {
      const taken = known()
      paths = new Set()
      isMore = false
      return taken
    },
  }
}

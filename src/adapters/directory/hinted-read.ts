import type { ReadDocument, SourceSnapshot } from '../../ports/manifest-source.ts'
import { revisionOf } from './revision.ts'
import type { Hinted, SourceFiles } from './source-files.ts'
import { hasMoved, type Walk } from './walk.ts'

/** How the documents of one file are come by. */
export type ReadDocuments = (path: string, shown: string) => Promise<readonly ReadDocument[]>

export interface FileRead {
  readonly path: string
  readonly shown: string
  readonly documents: readonly ReadDocument[]
}

/** All of a directory, of one version of it, with what was edited since. */
export interface WholeRead {
  readonly snapshot: SourceSnapshot
  readonly walk: Walk
  readonly revision: string | undefined
  readonly files: readonly FileRead[]
}

/** Of more files at once, or behind more links, a whole read is not much dearer. */
const mostFiles = 32
const mostFollowed = 64

/**
 * A whole read with some files read anew; undefined where more may have changed than they. Afterwards every directory and link must still lead where
 * it led, and the revision be the same: else what was read is of another version, which a whole read has to find.
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
    // Why it cannot be read is said by the whole read.
    if (documents === undefined) return undefined
    read.set(file, { ...file, documents })
  }
  const [isMoved, revisionNow] = await Promise.all([hasMoved(sourceFiles, walk), revisionOf(sourceFiles, root)])
  if (isMoved || revisionNow !== revision) return undefined
  const now = files.map((file) => read.get(file) ?? file)
  return { ...before, files: now, snapshot: { ...snapshot, documents: now.flatMap((file) => file.documents) } }
}

/** The files that hints have named since they were last taken. */
export function hintedFiles(): {
  readonly note: (what: Hinted) => void
  readonly peek: () => ReadonlySet<string>
  readonly take: () => ReadonlySet<string>
} {
  let paths = new Set<string>()
  let isMore = false
  /** Empty where there was more to them than the contents of files. */
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

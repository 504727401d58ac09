import { dirname } from 'node:path'
import type { ExactStat, SourceFiles } from './source-files.ts'

/** A file written twice within one tick of the file system's clock looks unchanged, so a file this young has no mark. */
const youngMs = 2_000

/** ext2 to ext4, XFS, Btrfs, tmpfs, ZFS, F2FS; see statfs(2). A call to any other file system may wait for another machine. */
const localTypes: ReadonlySet<number> = new Set([0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x2fc12fc1, 0xf2f52010])

export interface FileMark {
  /** Identifies the file's content without a read. Undefined if nothing does. */
  readonly mark: string | undefined
  /** The file is on a local file system. */
  readonly isLocal: boolean
}

/** Create a new instance for each read of a directory. */
export function fileMarks(files: SourceFiles): (path: string) => Promise<FileMark> {
  const locals = new Map<string, Promise<boolean>>()

  function isLocal(directory: string): Promise<boolean> {
    const known =
      locals.get(directory) ??
      files.statfs(directory).then(
        ({ type }) => localTypes.has(type),
        () => false,
      )
    locals.set(directory, known)
    return known
  }

  return async (path) => {
    // The thread pool would cost five times as much as the calls themselves.
    const isHere = await isLocal(dirname(path))
    const found = isHere ? files.exactStatSync(path) : await statOf(files, path)
    return { mark: found === undefined ? undefined : markOf(found, files.clock.now()), isLocal: isHere }
  }
}

/** The caller that reads the file reports the error. */
async function statOf(files: SourceFiles, path: string): Promise<ExactStat | undefined> {
  return files.exactStat(path).catch(() => undefined)
}

function markOf(found: ExactStat, nowMs: number): string | undefined {
  if (!found.isFile() || nowMs - Number(found.ctimeMs) < youngMs) return undefined
  return `${found.dev} ${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`
}

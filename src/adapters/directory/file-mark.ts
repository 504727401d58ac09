import { dirname } from 'node:path'
import type { ExactStat, SourceFiles } from './source-files.ts'

/** A file that is written twice within a tick of the file system's clock has the same mark both times: what is so young has none. */
const youngMs = 2_000

/** ext2 to ext4, XFS, Btrfs, tmpfs, ZFS, F2FS; see statfs(2). Of any other a call may wait for another machine, and for how long nobody knows. */
const localTypes: ReadonlySet<number> = new Set([0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x2fc12fc1, 0xf2f52010])

export interface FileMark {
  /** What makes a file's content recognizable without reading it; undefined where nothing does. */
  readonly mark: string | undefined
  /** It lies on this machine. */
  readonly isLocal: boolean
}

/** Made anew for each read of a directory. */
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
    // To hand each of a thousand questions to a thread costs five times what they cost.
    const isHere = await isLocal(dirname(path))
    const found = isHere ? files.exactStatSync(path) : await statOf(files, path)
    return { mark: found === undefined ? undefined : markOf(found, files.clock.now()), isLocal: isHere }
  }
}

/** Who reads it says what is wrong with it. */
async function statOf(files: SourceFiles, path: string): Promise<ExactStat | undefined> {
  return files.exactStat(path).catch(() => undefined)
}

function markOf(found: ExactStat, nowMs: number): string | undefined {
  if (!found.isFile() || nowMs - Number(found.ctimeMs) < youngMs) return undefined
  return `${found.dev} ${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`
}

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

export interface Overlay {
  /** Writes here are visible in `merged` but cause no inotify event there, as on NFS. */
  readonly beneath: string
  readonly merged: string
  /** Before a command: it runs where `merged` is mounted, and nobody else sees the mount. */
  readonly starter: readonly string[]
}

/** A file system that tells inotify nothing. Its `merged` holds a directory `team`, where the stat of the root sees no edit either. */
export function overlayIn(root: string): Overlay {
  for (const name of ['lower', 'beneath/team', 'work', 'merged']) mkdirSync(join(root, name), { recursive: true })
  const [lower, beneath, work, merged] = ['lower', 'beneath', 'work', 'merged'].map((name) => join(root, name)) as [
    string,
    string,
    string,
    string,
  ]
  const script = 'mount -t overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" overlay "$4" && shift 4 && exec "$@"'
  const starter = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', lower, beneath, work, merged]
  return { beneath, merged, starter }
}

import { stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { type FSWatcher, watch } from 'chokidar'
import { manifestRoot } from './inside.ts'
import { linksOn } from './links.ts'
import type { Hinted, SourceFiles, WatchOptions } from './source-files.ts'

type OnHint = (what: Hinted) => void

/**
 * Calls back when something below a directory may have changed, including when the directory itself is removed, created or swapped by a link. Hints
 * only: the controller also reads on its own timer.
 */
export function watchDirectory(files: SourceFiles, options: WatchOptions, onHint: OnHint): () => void {
  const path = resolve(options.path)
  const onAnything = (): void => onHint('anything')
  let endTree = watchTree(files, { ...options, path }, onHint, () => undefined)
  // inotify watches inodes, and sends no event when this path leads to another one.
  const endRoot = watchRoot(path, options.pollMs, (isAnother) => {
    if (isAnother) {
      endTree()
      // Changes before the new watch was ready caused no hint.
      endTree = watchTree(files, { ...options, path }, onHint, onAnything)
    }
    onHint(isAnother ? 'anything' : 'entries')
  })
  return () => {
    endRoot()
    endTree()
  }
}

interface Root {
  /** Inode numbers are reused for the next directory. The birth time is not. */
  readonly identity: string
  readonly modifiedMs: number
}

/** Polls with stat on any file system. `fs.watchFile` does not work here: chokidar would also remove other listeners of the same path. */
function watchRoot(path: string, pollMs: number, onChange: (isAnother: boolean) => void): () => void {
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  const look = async (before: Root | undefined): Promise<void> => {
    const now = await rootAt(path)
    if (stopped) return
    const isAnother = before !== undefined && now.identity !== before.identity
    if (isAnother || (before !== undefined && now.modifiedMs !== before.modifiedMs)) onChange(isAnother)
    if (!stopped) timer = setTimeout(() => void look(now), pollMs)
  }
  void look(undefined)
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}

async function rootAt(path: string): Promise<Root> {
  try {
    const { dev, ino, birthtimeMs, mtimeMs } = await stat(path)
    return { identity: `${dev} ${ino} ${birthtimeMs}`, modifiedMs: mtimeMs }
  } catch {
    return { identity: '', modifiedMs: 0 }
  }
}

/** Watches the current target of the path and the links on the way, since git-sync swaps its links. */
function watchTree(files: SourceFiles, options: WatchOptions, onHint: OnHint, onReady: () => void): () => void {
  let stopped = false
  const opened = openTree(files, options).then((watcher) => {
    watcher
      ?.on('all', (what, path) => void (stopped || onHint(what === 'change' ? { file: path } : 'anything')))
      .on('ready', () => void (stopped || onReady()))
    // Files have no watch of their own where inotify works: the watch of their directory names them.
    if (!options.watchPolling) watcher?.on('raw', (_event, name, details) => void (stopped || onHint(hintOf(details, name))))
    // Hints are optional, so a watch error has no other effect.
    watcher?.on('error', () => undefined)
    return watcher
  })
  return () => {
    stopped = true
    // Deferred, since chokidar must not be closed from its own callback.
    void opened.then((watcher) => watcher?.close())
  }
}

/** Undefined if there is nothing to watch. The stat of the directory detects when that changes. */
async function openTree(files: SourceFiles, { path, depth, watchPolling, pollMs }: WatchOptions): Promise<FSWatcher | undefined> {
  const links = (await linksOn(files, path)).map((link) => link.path)
  const root = await manifestRoot(files, path).catch(() => undefined)
  // An unreadable directory cannot be watched. The read reports the error.
  if (root === undefined) return undefined
  return watch([...links, root.directory ?? root.boundary], {
    followSymlinks: false,
    ignoreInitial: true,
    depth,
    // Changes inside `.git` become visible through the checkout. A watch for each file would take 14 KiB.
    ignored: (inner, stats) => basename(inner) === '.git' || (!watchPolling && stats?.isFile() === true),
    ...(watchPolling ? { usePolling: true, interval: pollMs } : {}),
  })
}

/** A reader checks whether it knows the file, and reads everything if not. Hidden entries are no manifests, but a swapped link may be one. */
function hintOf(details: unknown, name: unknown): Hinted {
  const { watchedPath } = details as { readonly watchedPath?: unknown }
  if (typeof watchedPath !== 'string' || typeof name !== 'string') return 'anything'
  return name.startsWith('.') ? 'entries' : { file: join(watchedPath, name) }
}

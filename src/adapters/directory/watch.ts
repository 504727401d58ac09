import { stat } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { type FSWatcher, watch } from 'chokidar'
import { manifestRoot } from './inside.ts'
import { linksOn } from './links.ts'
import type { Hinted, SourceFiles, WatchOptions } from './source-files.ts'

type OnHint = (what: Hinted) => void

/**
 * Calls back when something below a directory may have changed, also when the directory itself goes, comes, or is another one because a
 * link on the way to it was swapped. Hints only: the controller reads again on its own timer.
 */
export function watchDirectory(files: SourceFiles, options: WatchOptions, onHint: OnHint): () => void {
  const path = resolve(options.path)
  const onAnything = (): void => onHint('anything')
  let endTree = watchTree(files, { ...options, path }, onHint, () => undefined)
  // inotify watches inodes, and says nothing where this path leads to another one.
  const endRoot = watchRoot(path, options.pollMs, (isAnother) => {
    if (isAnother) {
      endTree()
      // Whatever came before this one watched has hinted at nothing.
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
  /** An inode's number is given again to the directory that is made next; its time of birth is not. */
  readonly identity: string
  readonly modifiedMs: number
}

/** One stat now and then, whatever the file system tells. Not by `fs.watchFile`, of which chokidar would end other listeners of the path too. */
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

/** Watches the tree that the path leads to now, and the links on the way: those of git-sync are swapped, not written. */
function watchTree(files: SourceFiles, options: WatchOptions, onHint: OnHint, onReady: () => void): () => void {
  let stopped = false
  const opened = openTree(files, options).then((watcher) => {
    watcher
      ?.on('all', (what, path) => void (stopped || onHint(what === 'change' ? { file: path } : 'anything')))
      .on('ready', () => void (stopped || onReady()))
    // Hints only: an error costs them and nothing else.
    watcher?.on('error', () => undefined)
    return watcher
  })
  return () => {
    stopped = true
    // Never at once: chokidar must not be closed by what it calls.
    void opened.then((watcher) => watcher?.close())
  }
}

/** Undefined where there is nothing to watch: the stat of the directory tells when there is. */
async function openTree(files: SourceFiles, { path, depth, watchPolling, pollMs }: WatchOptions): Promise<FSWatcher | undefined> {
  const links = (await linksOn(files, path)).map((link) => link.path)
  const root = await manifestRoot(files, path).catch(() => undefined)
  // Where nothing is to be read there is nothing to watch either; whoever reads says why.
  if (root === undefined) return undefined
  return watch([...links, root.directory ?? root.boundary], {
    followSymlinks: false,
    ignoreInitial: true,
    depth,
    // What git does in there is seen by what it checks out.
    ignored: (inner) => basename(inner) === '.git',
    ...(watchPolling ? { usePolling: true, interval: pollMs } : {}),
  })
}

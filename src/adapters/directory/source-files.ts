import type { Clock } from '../../ports/clock.ts'

interface FileKind {
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
}

export interface FileStat extends FileKind {
  readonly dev: number
  readonly ino: number
  readonly size: number
  readonly ctimeMs: number
}

/** Numbers lose the last digits of a time in nanoseconds, so these fields are bigint. */
export interface ExactStat extends FileKind {
  readonly dev: bigint
  readonly ino: bigint
  readonly size: bigint
  readonly ctimeMs: bigint
  readonly ctimeNs: bigint
  readonly mtimeNs: bigint
}

export interface DirectoryEntry extends FileKind {
  readonly name: string
}

export interface OpenFile {
  readonly fd: number
  stat(): Promise<FileStat>
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>
  close(): Promise<void>
}

export interface WatchOptions {
  readonly path: string
  /** Polls the whole tree, for file systems without inotify, such as NFS. */
  readonly watchPolling: boolean
  readonly depth: number
  /** Interval between two polls. */
  readonly pollMs: number
}

/**
 * The scope of a possible change: the content of one file, a changed mtime of the directory (`entries`), or anything. A file system with inotify also
 * reports the details of `entries`.
 */
export type Hinted = { readonly file: string } | 'entries' | 'anything'

/**
 * The file system calls of a manifest directory, under the names and with the errors of `node:fs`. Paths below `/proc/self/fd` name open files where
 * the system has them. `node-files.ts` is the real file system; the simulator has one in memory.
 */
export interface SourceFiles {
  readonly clock: Pick<Clock, 'now' | 'elapsed'>
  /** Lets other work run during a long read. */
  nextTurn(): Promise<void>
  open(path: string, flags: number): Promise<OpenFile>
  lstat(path: string): Promise<FileKind>
  stat(path: string): Promise<FileStat>
  exactStat(path: string): Promise<ExactStat>
  statfs(path: string): Promise<{ readonly type: number }>
  readlink(path: string): Promise<string>
  realpath(path: string): Promise<string>
  readdir(path: string): Promise<readonly DirectoryEntry[]>
  openSync(path: string, flags: number): number
  closeSync(fd: number): void
  fstatSync(fd: number): FileStat
  readSync(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number
  /** Undefined if the path does not exist. */
  statSync(path: string): FileStat | undefined
  exactStatSync(path: string): ExactStat | undefined
  readlinkSync(path: string): string
  realpathSync(path: string): string
  /** Calls back when something below a directory may have changed. Returns a function that stops the watch. */
  watch(options: WatchOptions, onHint: (what: Hinted) => void): () => void
}

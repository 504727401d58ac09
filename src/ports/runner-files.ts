/** The files that a runner reads and writes itself. Every method throws the file system's error, with its `code` (errno(3)). */
export interface RunnerFiles {
  readText(path: string): Promise<string>
  /** Replaces the file atomically. */
  replaceText(path: string, text: string): Promise<void>
  /** Copies a file, unless `to` exists. The copy appears under its name complete, and is synced to disk when this resolves. */
  copyOnce(from: string, to: string): Promise<void>
  /** The inode of a path; undefined if it does not exist. */
  inode(path: string): Promise<number | undefined>
  /** Bytes that an unprivileged process can still write to the file system of a path. */
  freeBytes(path: string): Promise<number>
}

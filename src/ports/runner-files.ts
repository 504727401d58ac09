/** The files that a runner reads and writes itself. Every method throws what the file system says, with its `code` (errno(3)). */
export interface RunnerFiles {
  readText(path: string): Promise<string>
  /** Replaces the file in one step. */
  replaceText(path: string, text: string): Promise<void>
  /** The inode behind a path; undefined where nothing is there. */
  inode(path: string): Promise<number | undefined>
  /** What an unprivileged process can still write to the file system of a path. */
  freeBytes(path: string): Promise<number>
}

/** The result of lstat for a path. */
export interface FileFact {
  readonly kind: 'file' | 'directory' | 'socket' | 'other'
  readonly sizeBytes: number
  /** Space used on disk; less than the size for a sparse file. */
  readonly allocatedBytes: number
  /** Milliseconds since the epoch. */
  readonly modifiedMs: number
  /** Device, inode, size and modification time. Files with equal versions are treated as equal. */
  readonly version: string
}

/** The state root cannot be read or written. With `NoSpace` a user can make room. With `Content` the file was read and is invalid. */
export class StateError extends Error {
  override readonly name = 'StateError'
  readonly kind: 'NoSpace' | 'Io' | 'Content'

  constructor(kind: StateError['kind'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
  }
}

/**
 * The files below the state root. `undefined` means that a file certainly does not exist; every other problem is a StateError.
 * *Guarantees*: a symbolic link at the end of a path is not followed, and nothing waits for a FIFO or another program. *Assumptions*: no
 * other program can write in the directories above a path. New content (`writeAtomically`, and `from` of `publish` and `replace`) also
 * needs a directory that only this program can write. A file with its final name may be in a directory that a runner can write.
 */
export interface StateFiles {
  stat(path: string): Promise<FileFact | undefined>
  /** Names in a directory, sorted. `maxNames` limits their number, for directories that other programs can write. */
  list(path: string, maxNames?: number): Promise<readonly string[] | undefined>
  /** UTF-8 content of a regular file of at most `maxBytes`. Throws StateError `Content` if it is longer or not UTF-8. */
  readText(path: string, maxBytes: number): Promise<string | undefined>
  /** At most the first `bytes` bytes of a regular file. */
  readStart(path: string, bytes: number): Promise<Uint8Array | undefined>
  /** Replaces the file atomically, also in a crash. It is synced to disk when this resolves. */
  writeAtomically(path: string, text: string, mode: number): Promise<void>
  /** Creates the directory if it is missing, and sets its mode (including setgid) if it differs. */
  makeDirectory(path: string, mode: number): Promise<void>
  /**
   * Sets mode and name of a complete file, and syncs it to disk. Never replaces a file: `exists` means that the name was taken. `from` is
   * gone in both cases.
   */
  publish(from: string, path: string, mode: number): Promise<'published' | 'exists'>
  /** Sets the mode of a complete file, and syncs content, mode and name to disk. */
  seal(path: string, mode: number): Promise<void>
  /**
   * Renames a sealed file to the name of another file and so replaces it, atomically and also in a crash. Synced to disk when this
   * resolves.
   */
  replace(from: string, path: string): Promise<void>
  /** Creates a hard link, unless the name exists. Synced to disk when this resolves. */
  link(from: string, path: string): Promise<void>
  /** Removes a file if it exists. Synced to disk when this resolves, so that no later step can be on disk without it. */
  remove(path: string): Promise<void>
  /** Removes a directory if it exists and is empty. Synced to disk when this resolves. */
  removeEmptyDirectory(path: string): Promise<void>
  space(path: string): Promise<{ readonly totalBytes: number; readonly freeBytes: number }>
}

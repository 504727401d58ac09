/** What lstat says about one path. */
export interface FileFact {
  readonly kind: 'file' | 'directory' | 'socket' | 'other'
  readonly sizeBytes: number
  /** What it really takes on disk; sparse files take less than their size. */
  readonly allocatedBytes: number
  /** Milliseconds since the epoch. */
  readonly modifiedMs: number
  /** Device, inode, size and modification time: equal versions are taken to hold equal bytes. */
  readonly version: string
}

/**
 * A state root that cannot be read or written. `NoSpace` is the one that people can do something about by themselves. `Content` is an answer: the file
 * was read, and is not what it should be.
 */
export class StateError extends Error {
  override readonly name = 'StateError'
  readonly kind: 'NoSpace' | 'Io' | 'Content'

  constructor(kind: StateError['kind'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
  }
}

/**
 * The files below the state root. `undefined` is a certain "not there"; everything else that goes wrong is a StateError.
 *
 * *Guarantees*: no symbolic link is followed at the end of a path, and nothing waits for a FIFO or for another program.
 * *Assumptions*: nobody but this program can write in the directories that lead to a path. New content (`writeAtomically`, and `from` of `publish` and
 * `replace`) also needs a directory in which nobody else can write; what has its final name may lie in one that a runner writes to.
 */
export interface StateFiles {
  stat(path: string): Promise<FileFact | undefined>
  /** Names in a directory, sorted. `maxNames` limits them to the first ones found, for directories that others write to. */
  list(path: string, maxNames?: number): Promise<readonly string[] | undefined>
  /** UTF-8 of a regular file of at most `maxBytes`; StateError `Content` where it is longer or no UTF-8. */
  readText(path: string, maxBytes: number): Promise<string | undefined>
  /** At most the first `bytes` bytes of a regular file. */
  readStart(path: string, bytes: number): Promise<Uint8Array | undefined>
  /** Replaces the file in one step that a crash cannot cut in half; on disk when it resolves. */
  writeAtomically(path: string, text: string, mode: number): Promise<void>
  /** Makes it if it is missing, and gives it this mode (setgid included) if it has another. */
  makeDirectory(path: string, mode: number): Promise<void>
  /** Gives a complete file its mode and its name; on disk when it resolves. Never replaces: `exists` means that the name was taken. `from` is gone in both cases. */
  publish(from: string, path: string, mode: number): Promise<'published' | 'exists'>
  /** Gives a complete file its mode; content, mode and name are on disk when it resolves. */
  seal(path: string, mode: number): Promise<void>
  /** Gives a sealed file the name of another file, which is gone then, in one step that a crash cannot cut in half; on disk when it resolves. */
  replace(from: string, path: string): Promise<void>
  /** A hard link; done if the name is there already. On disk when it resolves. */
  link(from: string, path: string): Promise<void>
  /** Done if it is missing. On disk when it resolves, so that no later step can be on disk without it. */
  remove(path: string): Promise<void>
  /** Done if it is missing; a directory that is not empty stays. On disk when it resolves. */
  removeEmptyDirectory(path: string): Promise<void>
  space(path: string): Promise<{ readonly totalBytes: number; readonly freeBytes: number }>
}

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

/** The files below the state root. `undefined` is a certain "not there"; everything else that goes wrong is a StateError. No symlink is followed at a path's end. */
export interface StateFiles {
  stat(path: string): Promise<FileFact | undefined>
  /** Names in a directory, sorted; with `maxNames` no more than so many, whichever come first, for directories that others write to. */
  list(path: string, maxNames?: number): Promise<readonly string[] | undefined>
  /** UTF-8 of a regular file of at most `maxBytes`; StateError `Content` where it is longer or no UTF-8. */
  readText(path: string, maxBytes: number): Promise<string | undefined>
  /** At most the first `bytes` bytes of a regular file. */
  readStart(path: string, bytes: number): Promise<Uint8Array | undefined>
  /** Replaces the file in one step that a crash cannot cut in half; on disk when it resolves. */
  writeAtomically(path: string, text: string, mode: number): Promise<void>
  /** Makes it if it is missing, and gives it this mode (setgid included) if it has another. */
  makeDirectory(path: string, mode: number): Promise<void>
  /** Gives a new file its mode and its name, and is on disk when it resolves. Never replaces: `exists` where the name was taken, and `from` is gone then too. */
  publish(from: string, path: string, mode: number): Promise<'published' | 'exists'>
  /** Gives a file that is complete the name of another, which is gone then, in one step that a crash cannot cut in half; on disk when it resolves. */
  replace(from: string, path: string): Promise<void>
  /** A hard link; done where the name is there already. */
  link(from: string, path: string): Promise<void>
  /** Done where it is missing. */
  remove(path: string): Promise<void>
  /** Done where it is missing; one that something lies in stays. */
  removeEmptyDirectory(path: string): Promise<void>
  space(path: string): Promise<{ readonly totalBytes: number; readonly freeBytes: number }>
}

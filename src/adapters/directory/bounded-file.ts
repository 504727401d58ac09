import { constants } from 'node:fs'
import { opened, openedSync } from './opened.ts'
import type { SourceFiles } from './source-files.ts'

export const notAFile = 'it is not a file'

/** Does not block on a pipe or a device with the name of a file. */
const flags = constants.O_RDONLY | constants.O_NONBLOCK

export interface FileStart {
  /** At most `maxBytes`. */
  readonly bytes: Uint8Array
  /** Modification time after the read, in epoch milliseconds of the file system's clock. */
  readonly changedMs: number
}

/** Reads the first bytes of a file. `path` must contain no symlink, so no other file is read. */
export async function boundedFile(files: SourceFiles, path: string, maxBytes: number): Promise<FileStart> {
  const file = await opened(files, path, flags | constants.O_NOFOLLOW)
  try {
    const found = await file.stat()
    if (!found.isFile()) throw new Error(notAFile)
    // One byte more, to detect the end: the file may have grown since the stat.
    let buffer = new Uint8Array(Math.min(maxBytes, found.size + 1))
    let length = 0
    while (length < maxBytes) {
      if (length === buffer.length) buffer = enlarged(buffer, maxBytes)
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return { bytes: buffer.subarray(0, length), changedMs: (await file.stat()).ctimeMs }
  } finally {
    await file.close()
  }
}

/** The same for a small local file: the thread pool would cost ten times as much as the calls. */
export function boundedFileSync(files: SourceFiles, path: string, maxBytes: number): FileStart {
  const file = openedSync(files, path, flags | constants.O_NOFOLLOW)
  try {
    const found = files.fstatSync(file)
    if (!found.isFile()) throw new Error(notAFile)
    let buffer = new Uint8Array(Math.min(maxBytes, found.size + 1))
    let length = 0
    while (length < maxBytes) {
      if (length === buffer.length) buffer = enlarged(buffer, maxBytes)
      const bytesRead = files.readSync(file, buffer, length, buffer.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return { bytes: buffer.subarray(0, length), changedMs: files.fstatSync(file).ctimeMs }
  } finally {
    files.closeSync(file)
  }
}

function enlarged(buffer: Uint8Array, maxBytes: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(maxBytes)
  larger.set(buffer)
  return larger
}

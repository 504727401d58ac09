import { constants } from 'node:fs'
import { opened, openedSync } from './opened.ts'
import type { SourceFiles } from './source-files.ts'

export const notAFile = 'it is not a file'

/** A pipe or a device that carries the name of a file must not hold anybody up. */
const flags = constants.O_RDONLY | constants.O_NONBLOCK

export interface FileStart {
  /** `maxBytes` at most. */
  readonly bytes: Uint8Array
  /** When it had last changed once it was read, in epoch milliseconds of its file system's clock. */
  readonly changedMs: number
}

/** The first bytes of a file. `path` must lead through no link: whatever is not this very file is not read. */
export async function boundedFile(files: SourceFiles, path: string, maxBytes: number): Promise<FileStart> {
  const file = await opened(files, path, flags | constants.O_NOFOLLOW)
  try {
    const found = await file.stat()
    if (!found.isFile()) throw new Error(notAFile)
    // One more than it has, so that its end is seen; whatever it was when it was looked at, it may have grown.
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

/** The same of a small file on this machine's own disk: to hand its calls to threads costs ten times what they cost. */
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

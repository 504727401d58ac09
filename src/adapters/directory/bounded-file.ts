import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'

export const notAFile = 'it is not a file'

const flags = constants.O_RDONLY | constants.O_NONBLOCK

/** The first bytes of a file, `maxBytes` at most. A pipe or a device that carries the name of a file must not hold anybody up. */
export async function boundedBytes(path: string, maxBytes: number): Promise<Uint8Array> {
  const file = await open(path, flags)
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
    return buffer.subarray(0, length)
  } finally {
    await file.close()
  }
}

/** The same of a small file on this machine's own disk: to hand its five calls to threads costs ten times what they cost. */
export function boundedBytesSync(path: string, maxBytes: number): Uint8Array {
  const file = openSync(path, flags)
  try {
    const found = fstatSync(file)
    if (!found.isFile()) throw new Error(notAFile)
    let buffer = new Uint8Array(Math.min(maxBytes, found.size + 1))
    let length = 0
    while (length < maxBytes) {
      if (length === buffer.length) buffer = enlarged(buffer, maxBytes)
      const bytesRead = readSync(file, buffer, length, buffer.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return buffer.subarray(0, length)
  } finally {
    closeSync(file)
  }
}

function enlarged(buffer: Uint8Array, maxBytes: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(maxBytes)
  larger.set(buffer)
  return larger
}

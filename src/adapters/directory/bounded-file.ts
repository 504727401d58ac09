import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

export const notAFile = 'it is not a file'

/** The first bytes of a file, `maxBytes` at most. A pipe or a device that carries the name of a file must not hold anybody up. */
export async function boundedBytes(path: string, maxBytes: number): Promise<Uint8Array> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    if (!(await file.stat()).isFile()) throw new Error(notAFile)
    const buffer = new Uint8Array(maxBytes)
    let length = 0
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return buffer.subarray(0, length)
  } finally {
    await file.close()
  }
}

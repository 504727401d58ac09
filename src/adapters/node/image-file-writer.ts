import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { type Arrival, ArrivalError, type ArrivalOptions } from '../../ports/image-arrivals.ts'

/** Read size: large enough for a disk, small enough that hashing blocks the event loop for only about a millisecond. */
export const chunkBytes = 1024 * 1024
/** The smallest allocation of ext4 and XFS. */
const blockBytes = 4096
const zeros = Buffer.alloc(blockBytes)
const startBytes = 64
const qcow2Magic = Buffer.from('QFI\xfb', 'latin1')

export interface WriteOptions extends ArrivalOptions {
  /** Announced size. */
  readonly total: number | undefined
  /** A larger file, including holes, is `TooLarge`. */
  readonly maxFileBytes: number
}

/**
 * Writes a new file with holes for blocks of zeros. The hash covers the full content. Throws ArrivalError, and passes errors of `chunks` through.
 * Removes the file on an error.
 */
export async function writeImage(to: string, chunks: AsyncIterable<Buffer>, options: WriteOptions): Promise<Omit<Arrival, 'contentType'>> {
  const file = await onOwnDisk(() => open(to, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600))
  try {
    return await writeChunks(file, chunks, options)
  } catch (error) {
    await onOwnDisk(() => unlink(to))
    throw error
  } finally {
    await file.close()
  }
}

async function writeChunks(file: FileHandle, chunks: AsyncIterable<Buffer>, options: WriteOptions): Promise<Omit<Arrival, 'contentType'>> {
  const hash = createHash('sha256')
  let start = Buffer.alloc(0)
  let bytes = 0
  let written = 0
  for await (const chunk of chunks) {
    options.signal.throwIfAborted()
    if (start.length < startBytes) start = Buffer.concat([start, chunk]).subarray(0, startBytes)
    if (cannotFit(start, options)) throw new ArrivalError('TooLarge', `it has ${options.total} bytes`)
    if (bytes + chunk.length > options.maxFileBytes) throw new ArrivalError('TooLarge', `it goes on after ${options.maxFileBytes} bytes`)
    hash.update(chunk)
    for (const [from, end] of dataIn(chunk)) {
      written += end - from
      if (written > options.maxBytes) throw new ArrivalError('TooLarge', `it holds more than ${options.maxBytes} bytes of data`)
      await writeAt(file, chunk.subarray(from, end), bytes + from)
    }
    bytes += chunk.length
    options.onProgress(bytes, options.total)
  }
  await onOwnDisk(async () => {
    // A trailing hole does not extend the file.
    await file.truncate(bytes)
    await file.sync()
  })
  return { sha256: hash.digest('hex'), bytes, start }
}

/** A qcow2 image has hardly any holes, so its size tells before the download whether it fits. */
function cannotFit(start: Buffer, { total, maxBytes }: WriteOptions): boolean {
  return total !== undefined && total > maxBytes && start.subarray(0, qcow2Magic.length).equals(qcow2Magic)
}

/** The parts of a chunk that are not whole blocks of zeros. */
function dataIn(chunk: Buffer): [number, number][] {
  const parts: [number, number][] = []
  for (let from = 0; from < chunk.length; ) {
    const end = Math.min(chunk.length, from + blockBytes)
    const last = parts.at(-1)
    if (!isZero(chunk, from, end)) {
      if (last?.[1] === from) last[1] = end
      else parts.push([from, end])
    }
    from = end
  }
  return parts
}

function isZero(chunk: Buffer, from: number, end: number): boolean {
  return chunk[from] === 0 && chunk.compare(zeros, 0, end - from, from, end) === 0
}

async function writeAt(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await onOwnDisk(() => file.write(bytes, done, bytes.length - done, position + done))
    done += bytesWritten
  }
}

/** Any error in here comes from this node's disk. A TLS connection also has errors of `write`. */
export async function onOwnDisk<Value>(run: () => Promise<Value>): Promise<Value> {
  try {
    return await run()
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    throw new ArrivalError(code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG' ? 'NoSpace' : 'Io', message, { cause })
  }
}

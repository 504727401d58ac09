import { constants } from 'node:fs'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import type { ImageHost } from '../../api/image-hosts.ts'
import { type Arrival, ArrivalError, type ArrivalOptions, type ImageArrivals } from '../../ports/image-arrivals.ts'
import { chunkBytes, onOwnDisk, writeImage } from './image-file-writer.ts'
import { imageAddresses } from './image-addresses.ts'
import { openDownload } from './image-download.ts'
import { networkFailure } from './network-failure.ts'

/** A server that sends nothing for this long counts as dead. */
const silenceMs = 30_000
/** The largest file on ext4. A larger announced size is not an image. */
const maxFileBytes = 16 * 1024 ** 4

export interface ImageArrivalsOptions {
  /** Allowed hosts besides the public internet. */
  readonly allowHosts?: readonly ImageHost[]
  /** Shorter only in tests. */
  readonly silenceMs?: number
}

export function imageArrivals(options: ImageArrivalsOptions = {}): ImageArrivals {
  const addresses = imageAddresses({ allowed: options.allowHosts ?? [] })
  const silence = options.silenceMs ?? silenceMs
  return {
    copy: copyFile,
    async download(url, to, arrival) {
      const response = await openDownload(url, { addresses, refused: arrival.refusedAddresses, silenceMs: silence, signal: arrival.signal })
      try {
        const total = announcedBytes(response.headers['content-length'])
        // Without an announced size, a server could send zeros forever, which take no disk space.
        const limit = total === undefined ? arrival.maxBytes : maxFileBytes
        if ((total ?? 0) > limit) throw new ArrivalError('TooLarge', `it has ${total} bytes`)
        const written = await writeImage(to, chunksFrom(response), { ...arrival, total, maxFileBytes: limit })
        return { ...written, contentType: response.headers['content-type'] }
      } finally {
        response.destroy()
      }
    },
  }
}

function announcedBytes(header: string | undefined): number | undefined {
  return header === undefined ? undefined : Number(header)
}

async function* chunksFrom(response: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of response) yield chunk as Buffer
  } catch (error) {
    throw networkFailure(error)
  }
}

async function copyFile(from: string, to: string, options: ArrivalOptions): Promise<Arrival> {
  const source = await openOperatorsFile(from)
  try {
    const before = await onOwnDisk(() => source.stat())
    if (!before.isFile()) throw new ArrivalError('NotAFile', `${from} is not a regular file`)
    const arrival = await writeImage(to, chunksOf(source), { ...options, total: before.size, maxFileBytes })
    const after = await onOwnDisk(() => source.stat())
    if (after.size === before.size && after.mtimeMs === before.mtimeMs && arrival.bytes === before.size)
      return { ...arrival, contentType: undefined }
    await onOwnDisk(() => unlink(to))
    throw new ArrivalError('Changed', `${from} changed while it was copied`)
  } finally {
    await source.close()
  }
}

async function openOperatorsFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') throw new ArrivalError('Missing', `${path} does not exist`, { cause })
    if (code === 'ELOOP') throw new ArrivalError('NotAFile', `${path} is a symbolic link, which is not followed`, { cause })
    if (code === 'EACCES') throw new ArrivalError('NotAFile', `${path} cannot be read by the agent (${message}); chmod a+r it`, { cause })
    throw new ArrivalError('Io', message, { cause })
  }
}

async function* chunksOf(file: FileHandle): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafe(chunkBytes)
  for (let position = 0; ; ) {
    const { bytesRead } = await onOwnDisk(() => file.read(buffer, 0, chunkBytes, position))
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
    position += bytesRead
  }
}

import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { type IncomingMessage, get as httpGet } from 'node:http'
import { get as httpsGet } from 'node:https'
import { type Arrival, ArrivalError, type ArrivalOptions, type ImageArrivals } from '../ports/image-arrivals.ts'

/** Read at a time: large enough for a disk, small enough that hashing it holds the event loop for about a millisecond. */
const chunkBytes = 1024 * 1024
/** A server that says nothing for so long is taken for dead. */
const silenceMs = 30_000
const maxRedirects = 5

export interface ImageArrivalsOptions {
  /** Only tests wait less. */
  readonly silenceMs?: number
}

export function imageArrivals(options: ImageArrivalsOptions = {}): ImageArrivals {
  return {
    copy: (from, to, arrival) => explained(() => copyFile(from, to, arrival)),
    download: (url, to, arrival) => explained(() => downloadTo(url, to, arrival, options.silenceMs ?? silenceMs)),
  }
}

async function copyFile(from: string, to: string, options: ArrivalOptions): Promise<Arrival> {
  const source = await openOperatorsFile(from)
  try {
    const before = await source.stat()
    if (!before.isFile()) throw new ArrivalError('NotAFile', `${from} is not a regular file`)
    if (before.size > options.maxBytes) throw new ArrivalError('TooLarge', `it has ${before.size} bytes`)
    const arrival = await writeHashed(to, chunksOf(source), before.size, options)
    const after = await source.stat()
    if (after.size === before.size && after.mtimeMs === before.mtimeMs && arrival.bytes === before.size) return arrival
    await unlink(to)
    throw new ArrivalError('Changed', `${from} was written to while it was copied`)
  } finally {
    await source.close()
  }
}

async function openOperatorsFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') throw new ArrivalError('Missing', `${path} is not there`, { cause })
    if (code === 'ELOOP') throw new ArrivalError('NotAFile', `${path} is a symbolic link, which is not followed`, { cause })
    if (code === 'EACCES') throw new ArrivalError('NotAFile', `${path} cannot be read by the agent (${message}); chmod a+r it`, { cause })
    throw cause
  }
}

async function* chunksOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafe(chunkBytes)
  for (let position = 0; ; ) {
    const { bytesRead } = await file.read(buffer, 0, chunkBytes, position)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
    position += bytesRead
  }
}

async function writeHashed(
  to: string,
  chunks: AsyncIterable<Uint8Array>,
  total: number | undefined,
  options: ArrivalOptions,
): Promise<Arrival> {
  const hash = createHash('sha256')
  const file = await open(to, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
  let bytes = 0
  try {
    for await (const chunk of chunks) {
      options.signal.throwIfAborted()
      bytes += chunk.length
      if (bytes > options.maxBytes) throw new ArrivalError('TooLarge', `it goes on after ${options.maxBytes} bytes`)
      hash.update(chunk)
      await file.writeFile(chunk)
      options.onProgress(bytes, total)
    }
    await file.sync()
    return { sha256: hash.digest('hex'), bytes }
  } catch (error) {
    await unlink(to)
    throw error
  } finally {
    await file.close()
  }
}

async function downloadTo(url: string, to: string, options: ArrivalOptions, silence: number): Promise<Arrival> {
  const response = await follow(url, options.signal, silence, maxRedirects)
  try {
    const announced = response.headers['content-length']
    const total = announced === undefined ? undefined : Number(announced)
    if (total !== undefined && total > options.maxBytes) throw new ArrivalError('TooLarge', `it has ${total} bytes`)
    const arrival = await writeHashed(to, response as AsyncIterable<Buffer>, total, options)
    return arrival
  } finally {
    response.destroy()
  }
}

async function follow(url: string, signal: AbortSignal, silence: number, redirectsLeft: number): Promise<IncomingMessage> {
  const target = URL.parse(url)
  if (target === null || (target.protocol !== 'http:' && target.protocol !== 'https:')) {
    throw new ArrivalError('Refused', `only http:// and https:// are followed, not ${url.slice(0, 200)}`)
  }
  const response = await getOnce(target, signal, silence)
  const status = response.statusCode ?? 0
  if (status === 200) return response
  response.destroy()
  const location = response.headers.location
  if (status >= 300 && status < 400 && location !== undefined) {
    if (redirectsLeft === 0) throw new ArrivalError('Refused', `it was redirected more than ${maxRedirects} times`)
    const next = URL.parse(location, target.href)
    if (target.protocol === 'https:' && next?.protocol === 'http:')
      throw new ArrivalError('Refused', `https:// was redirected to ${next.href.slice(0, 200)}`)
    return await follow(next?.href ?? location, signal, silence, redirectsLeft - 1)
  }
  // 408 and 429 ask for patience; other 4xx say that asking again is useless.
  const patient = status >= 500 || status === 408 || status === 429
  throw new ArrivalError(patient ? 'Network' : 'Refused', `${target.host} answered with status ${status}`)
}

function getOnce(target: URL, signal: AbortSignal, silence: number): Promise<IncomingMessage> {
  const get = target.protocol === 'https:' ? httpsGet : httpGet
  return new Promise((resolve, reject) => {
    // `agent: false`: a connection of its own that is gone with the image. `identity`: what is hashed must be the file.
    const request = get(target, { agent: false, signal, headers: { 'accept-encoding': 'identity', 'user-agent': 'swarmvirt' } }, resolve)
    request.setTimeout(silence, () => request.destroy(new ArrivalError('Network', `${target.host} was silent for ${silence / 1000} s`)))
    request.once('error', reject)
  })
}

async function explained(run: () => Promise<Arrival>): Promise<Arrival> {
  try {
    return await run()
  } catch (cause) {
    if (cause instanceof ArrivalError) throw cause
    const { code, message, syscall } = cause as NodeJS.ErrnoException
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new ArrivalError('NoSpace', message, { cause })
    const local = syscall === 'open' || syscall === 'write' || syscall === 'fsync' || syscall === 'unlink'
    throw new ArrivalError(local ? 'Io' : 'Network', message || String(code), { cause })
  }
}

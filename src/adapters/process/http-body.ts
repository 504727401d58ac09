import type { IncomingMessage } from 'node:http'

/** Reads the whole body as text. Undefined if it is longer than `limit` bytes. Rejects if the stream fails. */
export async function readBody(stream: IncomingMessage, limit: number): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > limit) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Larger than any valid input. The rest is not read. */
const maxBytes = 1024 * 1024

/** Reads standard input, up to a megabyte plus the last chunk. */
export async function standardInput(): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (length > maxBytes) break
  }
  return Buffer.concat(chunks)
}

/** Larger than anything that is read this way; what comes after is not waited for. */
const maxBytes = 1024 * 1024

/** Everything on standard input, up to a megabyte and the chunk that passes it. */
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

/**
 * Framing of the three UNIX socket contracts (agent–broker, broker–runner, agent–runner): one JSON object per line, UTF-8, at most
 * `maxFrameBytes` with its newline. Descriptors (SCM_RIGHTS) travel with the first byte of the frame that announces them.
 */
export const maxFrameBytes = 64 * 1024

export class FrameError extends Error {
  override readonly name = 'FrameError'
}

export function encodeFrame(message: object): Uint8Array {
  const bytes = new TextEncoder().encode(`${JSON.stringify(message)}\n`)
  if (bytes.length > maxFrameBytes) throw new FrameError(`a frame of ${bytes.length} bytes is over the limit of ${maxFrameBytes}`)
  return bytes
}

/**
 * Collects chunks into frames. Throws FrameError for a frame that is too long or is not a JSON object; the caller then closes the
 * connection.
 */
export function frameDecoder(): { push(chunk: Uint8Array): unknown[] } {
  let held: Uint8Array = new Uint8Array(0)
  return {
    push(chunk) {
      const bytes = new Uint8Array(held.length + chunk.length)
      bytes.set(held)
      bytes.set(chunk, held.length)
      const frames: unknown[] = []
      let start = 0
      for (let end = bytes.indexOf(0x0a, start); end !== -1; end = bytes.indexOf(0x0a, start)) {
        if (end - start >= maxFrameBytes) throw new FrameError(`a frame is over the limit of ${maxFrameBytes} bytes`)
        frames.push(decode(bytes.subarray(start, end)))
        start = end + 1
      }
      held = bytes.slice(start)
      if (held.length >= maxFrameBytes) throw new FrameError(`a frame is over the limit of ${maxFrameBytes} bytes`)
      return frames
    },
  }
}

function decode(line: Uint8Array): unknown {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line))
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value
  } catch {
    // Invalid UTF-8 and invalid JSON give the same error below.
  }
  throw new FrameError('a frame is not a JSON object')
}

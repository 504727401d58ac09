/** An answer about 16 interfaces has some KiB. */
const longestLine = 64 * 1024

/** The agent sends this byte before the answer to `guest-sync-delimited`: everything before it belongs to earlier requests. */
const sentinel = 0xff
const newline = 0x0a

/**
 * Splits the bytes of a guest into JSON values, one a line. The guest is hostile: at most one line is kept, a longer one is dropped up to its
 * newline, and so is a line that is not JSON.
 */
export function jsonLines(): { push(bytes: Uint8Array): unknown[]; clear(): void } {
  // One buffer that doubles: a list of pieces would cost a guest's single bytes a hundredfold.
  let held = Buffer.alloc(1_024)
  let length = 0
  let isTooLong = false

  const clear = (): void => {
    length = 0
    isTooLong = false
  }
  const keep = (bytes: Uint8Array): void => {
    isTooLong ||= length + bytes.length > longestLine
    if (isTooLong) return
    while (held.length < length + bytes.length) held = Buffer.concat([held], held.length * 2)
    held.set(bytes, length)
    length += bytes.length
  }
  const take = (): unknown[] => {
    const line = isTooLong ? '' : held.toString('utf8', 0, length).trim()
    clear()
    return line === '' ? [] : parsed(line)
  }
  return {
    clear,
    push(bytes) {
      const values: unknown[] = []
      let from = 0
      for (let at = 0; at < bytes.length; at += 1) {
        if (bytes[at] !== newline && bytes[at] !== sentinel) continue
        keep(bytes.subarray(from, at))
        from = at + 1
        if (bytes[at] === newline) values.push(...take())
        else clear()
      }
      keep(bytes.subarray(from))
      return values
    },
  }
}

function parsed(line: string): unknown[] {
  try {
    return [JSON.parse(line)]
  } catch {
    return []
  }
}

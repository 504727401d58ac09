/**
 * Splits a guest's serial output into lines that are safe for a terminal and a log. The guest is not trusted: control and invisible characters are
 * escaped (`\x1b`), colors are removed, and a long line is split.
 */
const longestLine = 2_000
/** Terminal codes for color and weight. Every boot log is full of them. */
// oxlint-disable-next-line no-control-regex
const colours = /\u001b\[[0-9;]*m/g
/** Control and format characters, unpaired surrogates, and the two line separators. Tabs are kept. */
const unsafe = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu

export interface LineSplitter {
  /** Returns complete lines, and pieces of a line that is too long. */
  push(bytes: Uint8Array): string[]
  /** Returns the rest without a newline, such as a prompt. */
  flush(): string[]
}

export function lineSplitter(): LineSplitter {
  const decoder = new TextDecoder()
  let held = ''
  return {
    push(bytes) {
      const lines = (held + decoder.decode(bytes, { stream: true })).split('\n')
      held = lines.pop() ?? ''
      if (held.length > longestLine) {
        lines.push(held)
        held = ''
      }
      return lines.flatMap(pieces).map(safeText)
    },
    flush() {
      const last = held
      held = ''
      return last === '' ? [] : pieces(last).map(safeText)
    },
  }
}

function pieces(line: string): string[] {
  if (line.length <= longestLine) return [line]
  return Array.from({ length: Math.ceil(line.length / longestLine) }, (_, index) =>
    line.slice(index * longestLine, (index + 1) * longestLine),
  )
}

/** Escapes one line, without its newline, so that it cannot control a terminal. */
export function safeText(line: string): string {
  return line
    .replace(/\r+$/, '')
    .replace(colours, '')
    .replace(unsafe, (character) => (character === '\t' ? '\t' : written(character.codePointAt(0) ?? 0)))
}

function written(codePoint: number): string {
  const hex = codePoint.toString(16)
  return codePoint < 0x100 ? `\\x${hex.padStart(2, '0')}` : `\\u{${hex}}`
}

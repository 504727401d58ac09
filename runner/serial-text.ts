/**
 * A guest's serial output as lines that a terminal and a log can be shown. The guest is not trusted: control characters and invisible ones
 * are written out (`\x1b`), colours are dropped, and a line without end is cut.
 */
const longestLine = 2_000
/** What a terminal is told about colour and weight; dropped, since every boot log is full of it and it says nothing. */
// oxlint-disable-next-line no-control-regex
const colours = /\u001b\[[0-9;]*m/g
/** Control and format characters, surrogates without partner, and the two line separators; a tab may stay. */
const unsafe = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu

export interface LineSplitter {
  /** Complete lines, and pieces of a line that is too long. */
  push(bytes: Uint8Array): string[]
  /** What has no newline yet, if anything: a prompt, or the last words. */
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

/** One line, without its newline, in a form that cannot act on a terminal. */
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

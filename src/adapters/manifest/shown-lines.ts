/** A file's lines for excerpts, without secrets: private keys and values in user data. CI logs and the API show excerpts to others. */
export function shownLines(text: string): readonly string[] {
  let secret: RegExp | undefined
  let userDataIndent: number | undefined
  return text.split('\n').map((line) => {
    if (secret !== undefined) {
      if (secret.test(line)) secret = undefined
      return hidden(line, /\S/)
    }
    if (privateKey.test(line)) {
      const opened = openEnd(line)
      secret = opened
      return hidden(line, privateKey)
    }
    if (userDataIndent !== undefined && (line.trim() === '' || indentOf(line) > userDataIndent)) return withoutValues(line)
    const at = /^[\s-]*(?:["']?(?:user|network)Data["']?\s*:)/.exec(line)
    userDataIndent = at === null ? undefined : line.search(/["']?(?:user|network)Data/)
    return at === null ? line.replace(inline, '$1 …') : line.replace(/((?:user|network)Data["']?\s*:)\s*[^\s|>].*$/, '$1 …')
  })
}

const inline = /([{,]\s*["']?(?:user|network)Data["']?\s*:)\s*.*$/
const privateKey = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File-|b3BlbnNzaC1rZXktdjE/

/** The end pattern of a block that begins on this line. Undefined if it also ends on this line. */
function openEnd(line: string): RegExp | undefined {
  if (/-----BEGIN/.test(line)) return /-----END/.test(line) ? undefined : /-----END/
  return /PuTTY-User-Key-File-/.test(line) && !/Private-MAC/.test(line) ? /Private-MAC/ : undefined
}

function hidden(line: string, from: RegExp): string {
  const at = line.search(from)
  return at === -1 ? line : `${line.slice(0, at)}…`
}

/** Keys and headers stay: `password: …`, `root:…`, `TOKEN=…`. A long word may be a secret. */
function withoutValues(line: string): string {
  return line.replace(/([:=])\s*[^\s].*$/, '$1 …').replaceAll(/[^\s:=]{32,}/g, '…')
}

function indentOf(line: string): number {
  return line.search(/\S/)
}

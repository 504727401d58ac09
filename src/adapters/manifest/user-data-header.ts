import { closest } from '../../api/closest.ts'
import type { UserDataFinding } from './user-data-finding.ts'

/** Headers of cloud-init's `handlers`, compared without case and after white space. The headers of cloudbase-init (Windows) follow. */
const headers = [
  '#cloud-config',
  '#cloud-config-archive',
  '#cloud-config-jsonp',
  '#include',
  '#include-once',
  '#cloud-boothook',
  '#part-handler',
  '#!',
  '## template: jinja',
]
const windowsHeaders = ['rem cmd', '#ps1', '#ps1_sysnative', '#ps1_x86', '<powershell>', '<script>']
const known = [...headers, ...windowsHeaders]

/** A cloud-config, whose content must be checked too, or the findings for anything else. */
type Header = { readonly kind: 'config' | 'archive' } | { readonly kind: 'checked'; readonly findings: readonly UserDataFinding[] }

/** Checks the header by cloud-init's known behavior (`user_data.py`). */
export function readHeader(text: string, isFoldedScalar: boolean): Header {
  const start = beginOf(text, 0)
  // cloud-init only searches this part of the text.
  if (start === -1 || /mime-version:/i.test(text.slice(0, 4_096))) return checked([])
  const first = lineAt(text, start)
  const lower = text.slice(start, start + 64).toLowerCase()
  if (!known.some((header) => lower.startsWith(header))) return checked([noHeader(text, first)])
  if (lower.startsWith('## template: jinja')) return checked(template(text, first))
  if (!/^#cloud-config(?!-jsonp)/.test(lower)) return checked([])
  if (isFolded(text, first, isFoldedScalar)) return checked([folded(first)])
  return { kind: lower.startsWith('#cloud-config-archive') ? 'archive' : 'config' }
}

function checked(findings: readonly UserDataFinding[]): Header {
  return { kind: 'checked', findings }
}

/** The first position after Python's white space, which does not include a byte order mark. */
function beginOf(text: string, from: number): number {
  const offset = text.slice(from).search(/[^\s\p{Cc}]|\ufeff/u)
  return offset === -1 ? -1 : from + offset
}

/** Only a first line without a brace is checked, since rendering does not change it. */
function template(text: string, { to }: Line): readonly UserDataFinding[] {
  const start = beginOf(text, to)
  if (start === -1) return []
  const first = lineAt(text, start)
  const isJudged = !first.text.includes('{') && !headers.some((header) => first.text.toLowerCase().startsWith(header))
  return isJudged ? [noHeader(text, first)] : []
}

interface Line {
  readonly text: string
  readonly from: number
  readonly to: number
}

function lineAt(text: string, from: number): Line {
  const end = text.indexOf('\n', from)
  const line = text.slice(from, end === -1 ? text.length : end).trimEnd()
  return { text: line, from, to: from + line.length }
}

function noHeader(text: string, first: Line): UserDataFinding {
  const place = { from: first.from, to: first.to }
  const late = /^[ \t]*#cloud-config(?!-)\b/im.exec(text)
  if (late !== null) {
    const begin = late.index + late[0].indexOf('#')
    const message = '#cloud-config is not at the beginning, so cloud-init drops all of this'
    return {
      severity: 'error',
      message,
      help: `make it the first line, without a comment or --- before it`,
      from: begin,
      to: begin + 13,
    }
  }
  const meant = misspelt(first.text)
  if (meant !== undefined) {
    const message = 'a header that cloud-init does not know, so it drops all of this'
    return { severity: 'error', message, help: `did you mean "${meant}"?`, ...place }
  }
  if (isBase64(text)) {
    const message = 'base64, which cloud-init does not decode here, so it drops all of this'
    return { severity: 'error', message, help: 'write the text itself, with userData: | before it', ...place }
  }
  const message = 'no header that cloud-init knows, so it drops all of this'
  return { severity: 'warning', message, help: 'begin with #cloud-config, or with #! for a script', ...place }
}

/** Such as `# cloud-config`, `#cloud-confg`, `cloud-config`, `#Cloud_Config`. */
function misspelt(line: string): string | undefined {
  const word = line
    .replace(/^[#\s]*/, '#')
    .replace(/[:\s].*$/, '')
    .toLowerCase()
  return word.length < 6
    ? undefined
    : closest(
        word,
        headers.filter((header) => /^#[a-z]/.test(header)),
      )
}

/** One word per line that decodes to something meaningful: a header, or gzip. */
function isBase64(text: string): boolean {
  const joined = text.replaceAll(/\s/g, '')
  if (!/^[A-Za-z0-9+/]{12,}={0,2}$/.test(joined) || /\S[ \t]+\S/.test(text)) return false
  const bytes = Buffer.from(joined.slice(0, 400), 'base64')
  const decoded = bytes.toString('latin1').trimStart().toLowerCase()
  return (
    (bytes[0] === 0x1f && bytes[1] === 0x8b) || decoded.startsWith('mime-version') || known.some((header) => decoded.startsWith(header))
  )
}

/** Text after the header is a comment, unless all the content is on that line. */
function isFolded(text: string, { text: line, to }: Line, isFoldedScalar: boolean): boolean {
  if (!/^#cloud-config[ \t]+\S/i.test(line)) return false
  return isFoldedScalar || (/^#cloud-config[ \t]+[\w-]+:/i.test(line) && text.slice(to).trim() === '')
}

function folded(first: Line): UserDataFinding {
  const message = 'all on the line of #cloud-config, which is a comment, so cloud-init drops it'
  return {
    severity: 'error',
    message,
    help: 'write userData: | and not userData: >, and begin a line after #cloud-config',
    from: first.from,
    to: first.to,
  }
}

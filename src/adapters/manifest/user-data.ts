import { isMap, isScalar, isSeq, parseDocument, type YAMLMap, type YAMLParseError } from 'yaml'
import { closest } from '../../api/closest.ts'
import { keyText } from './locate.ts'
import { saySyntax } from './syntax.ts'
import { refusedText } from './text-limits.ts'

/** What cloud-init would not do with user data. An error where it is certain that nothing of it works, a warning otherwise. */
export interface UserDataFinding {
  readonly severity: 'error' | 'warning'
  readonly message: string
  readonly help: string
  /** In the text of the user data. */
  readonly from: number
  readonly to: number
}

/** As cloud-init's `handlers` have them: compared without case, behind white space. Those of cloudbase-init, for Windows, follow. */
const headers = [
  '#cloud-config',
  '#cloud-config-archive',
  '#cloud-config-jsonp',
  '#include',
  '#include-once',
  '#cloud-boothook',
  '#part-handler',
  '#upstart-job',
  '#!',
  '## template: jinja',
]
const windowsHeaders = ['rem cmd', '#ps1', '#ps1_sysnative', '#ps1_x86', '<powershell>', '<script>']
const known = [...headers, ...windowsHeaders]

/** Judges user data by what cloud-init is known to do with it (`user_data.py`, `handlers/cloud_config.py`). Never throws, and its cost is bounded. */
export function userDataFindings(
  text: string,
  beside: { readonly isFolded: boolean; readonly hasKeys: boolean },
): readonly UserDataFinding[] {
  const start = text.search(/\S/)
  if (start === -1) return []
  const first = lineAt(text, start)
  const lower = text.slice(start, start + 64).toLowerCase()
  // cloud-init looks for it in this much of the text.
  if (/mime-version:/i.test(text.slice(0, 4_096)) || /^(?:## template: *jinja)/.test(lower)) return []
  if (!known.some((header) => lower.startsWith(header))) return [noHeader(text, first)]
  if (!/^#cloud-config(?!-)/.test(lower)) return []
  if (isFolded(text, first, beside.isFolded)) return [folded(first)]
  return cloudConfig(text, beside.hasKeys)
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
      help: `make it the first line: nothing may stand before it, no comment and no ---`,
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

/** `# cloud-config`, `#cloud-confg`, `cloud-config`, `#Cloud_Config`. */
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

/** Of one word per line that means something when it is decoded: a header, or gzip. */
function isBase64(text: string): boolean {
  const joined = text.replaceAll(/\s/g, '')
  if (!/^[A-Za-z0-9+/]{12,}={0,2}$/.test(joined) || /\S[ \t]+\S/.test(text)) return false
  const bytes = Buffer.from(joined.slice(0, 400), 'base64')
  const decoded = bytes.toString('latin1').trimStart().toLowerCase()
  return (
    (bytes[0] === 0x1f && bytes[1] === 0x8b) || decoded.startsWith('mime-version') || known.some((header) => decoded.startsWith(header))
  )
}

/** A word behind the header is a comment, unless it is where all the rest went. */
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

function cloudConfig(text: string, hasKeys: boolean): readonly UserDataFinding[] {
  // Depth and size are looked at before the parser sees it; what is beyond them is cloud-init's to judge.
  if (refusedText(text) !== undefined) return []
  const document = parsed(text)
  const [error] = document.errors
  if (error !== undefined) return [brokenYaml(error)]
  const { contents } = document
  if (contents === null || (isScalar(contents) && contents.value === null)) return []
  if (isMap(contents)) return inConfig(contents, hasKeys)
  const [from, to] = contents.range ?? [0, 0]
  const message = 'a #cloud-config is a mapping of fields, so cloud-init drops all of this'
  return [{ severity: 'error', message, help: 'write KEY: VALUE below #cloud-config', from, to }]
}

function brokenYaml(error: YAMLParseError): UserDataFinding {
  const { message, help } = saySyntax(error)
  const [severity, drops] = mayBeYaml(error) ? (['warning', 'may drop'] as const) : (['error', 'drops'] as const)
  const said = `not YAML, so cloud-init ${drops} all of this: ${message}`
  return { severity, message: said, help: help ?? 'mend it', from: error.pos[0], to: error.pos[1] }
}

/** PyYAML, by which cloud-init reads, takes brackets and quotes whose further lines are indented less than YAML asks for. */
function mayBeYaml({ code, message }: YAMLParseError): boolean {
  return code === 'BLOCK_IN_FLOW' || code === 'MULTILINE_IMPLICIT_KEY' || /closing|end with a/.test(message)
}

/** As PyYAML reads it: YAML 1.1, the last of two equal keys counts, and a tag may mean something there. */
function parsed(text: string): ReturnType<typeof parseDocument> {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return parseDocument(text, { version: '1.1', uniqueKeys: false, strict: false, prettyErrors: false, logLevel: 'silent' })
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

function inConfig(map: YAMLMap, hasKeys: boolean): readonly UserDataFinding[] {
  return map.items.flatMap(({ key, value }): readonly UserDataFinding[] => {
    const [from, to] = isScalar(key) ? (key.range ?? [0, 0]) : [0, 0]
    if (keyText(key) === 'network') {
      const message = 'cloud-init reads no network configuration from user data'
      return [{ severity: 'warning', message, help: 'the guest uses DHCP: make a reservation for its MAC', from, to }]
    }
    if (keyText(key) !== 'users' || !hasKeys || !isWithoutDefault(value)) return []
    const message = 'users without "default": there is no default user, so sshAuthorizedKeys let nobody in'
    return [{ severity: 'warning', message, help: 'add "- default" as the first entry, or give keys to your users here', from, to }]
  })
}

/** cloud-init takes a list of names and mappings, and a text of names with commas. */
function isWithoutDefault(users: unknown): boolean {
  if (isScalar(users)) return typeof users.value === 'string' && !/(?:^|,)\s*default\s*(?:,|$)/.test(users.value)
  if (!isSeq(users)) return false
  return !users.items.some((one) => (isScalar(one) && one.value === 'default') || (isMap(one) && one.get('name') === 'default'))
}

import { type Document, isMap, isScalar, isSeq, parseDocument, type YAMLMap, type YAMLParseError } from 'yaml'
import { closest } from '../../api/closest.ts'
import { keyText } from './locate.ts'
import { type PyYamlRefusal, pyYamlRefusal, unprintable } from './pyyaml.ts'
import { describeSyntaxError } from './syntax.ts'
import { type Refused, refusedText } from './text-limits.ts'

/** User data that cloud-init would ignore. An error if certainly nothing of it works, a warning otherwise. */
export interface UserDataFinding {
  readonly severity: 'error' | 'warning'
  readonly message: string
  readonly help: string
  /** Offsets in the user data. */
  readonly from: number
  readonly to: number
}

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

/** Checks user data by cloud-init's known behavior (`user_data.py`, `handlers/cloud_config.py`). Never throws, and its cost is bounded. */
export function userDataFindings(
  text: string,
  beside: { readonly isFolded: boolean; readonly hasKeys: boolean },
): readonly UserDataFinding[] {
  const start = beginOf(text, 0)
  // cloud-init only searches this part of the text.
  if (start === -1 || /mime-version:/i.test(text.slice(0, 4_096))) return []
  const first = lineAt(text, start)
  const lower = text.slice(start, start + 64).toLowerCase()
  if (!known.some((header) => lower.startsWith(header))) return [noHeader(text, first)]
  if (lower.startsWith('## template: jinja')) return template(text, first)
  if (!/^#cloud-config(?!-jsonp)/.test(lower)) return []
  if (isFolded(text, first, beside.isFolded)) return [folded(first)]
  return cloudConfig(text, lower.startsWith('#cloud-config-archive') ? 'archive' : 'config', beside.hasKeys)
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

function cloudConfig(text: string, kind: 'config' | 'archive', hasKeys: boolean): readonly UserDataFinding[] {
  const character = unprintable(text)
  if (character !== undefined) return [notPyYaml(character)]
  const isBroken = /[\x85\u2028\u2029]|\r(?!\n)/.exec(text)
  if (isBroken !== null) return [strangeBreak(isBroken.index)]
  // Depth and size are checked before parsing.
  const refused = refusedText(text)
  if (refused !== undefined) return [notChecked(refused)]
  const document = parsed(text)
  const [error] = document.errors
  if (error !== undefined) return [brokenYaml(error)]
  const refusal = pyYamlRefusal(text, document)
  if (refusal !== undefined) return [notPyYaml(refusal)]
  const { contents } = document
  if (contents === null || (isScalar(contents) && contents.value === null)) return []
  if (kind === 'config' && isMap(contents)) return inConfig(contents, hasKeys)
  if (kind === 'archive' && isSeq(contents)) return []
  const [from, to] = contents.range ?? [0, 0]
  return [{ severity: 'error', ...wrongRoot[kind], from, to }]
}

const wrongRoot = {
  config: {
    message: 'a #cloud-config is a mapping of fields, so cloud-init drops all of this',
    help: 'write KEY: VALUE below #cloud-config',
  },
  archive: { message: 'a #cloud-config-archive is a list, so cloud-init drops all of this', help: 'write "- " before each part' },
} as const

function brokenYaml(error: YAMLParseError): UserDataFinding {
  const { message, help } = describeSyntaxError(error)
  const [severity, drops] = mayBeYaml(error) ? (['warning', 'may drop'] as const) : (['error', 'drops'] as const)
  const said = `not YAML, so cloud-init ${drops} all of this: ${message}`
  return { severity, message: said, help: help ?? 'mend it', from: error.pos[0], to: error.pos[1] }
}

function notPyYaml({ message, help, from, to }: PyYamlRefusal): UserDataFinding {
  return { severity: 'error', message: `not YAML for cloud-init, so it drops all of this: ${message}`, help, from, to }
}

/** PyYAML starts a new line at these characters. The parser does not. */
function strangeBreak(from: number): UserDataFinding {
  const message = 'an unusual line break (U+0085, U+2028, U+2029, or U+000D alone), so cloud-init may drop all of this'
  return { severity: 'warning', message, help: 'write an ordinary line break, or a space', from, to: from + 1 }
}

function notChecked({ message, offset }: Refused): UserDataFinding {
  return {
    severity: 'warning',
    message: `not checked, and cloud-init may drop all of this: ${message}`,
    help: 'check it with cloud-init schema',
    from: offset,
    to: offset + 1,
  }
}

/** PyYAML, which cloud-init uses, accepts brackets and quotes whose following lines are indented less than YAML requires. */
function mayBeYaml({ code, message }: YAMLParseError): boolean {
  return code === 'BLOCK_IN_FLOW' || code === 'MULTILINE_IMPLICIT_KEY' || /closing|end with a/.test(message)
}

/** Parsed like PyYAML: YAML 1.1, the last of two equal keys counts, and tags may have a meaning. */
function parsed(text: string): Document.Parsed {
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

/** cloud-init accepts a list of names and mappings, and a string of names with commas. */
function isWithoutDefault(users: unknown): boolean {
  if (isScalar(users)) return typeof users.value === 'string' && !/(?:^|,)\s*default\s*(?:,|$)/.test(users.value)
  if (!isSeq(users)) return false
  return !users.items.some((one) => (isScalar(one) && one.value === 'default') || (isMap(one) && one.get('name') === 'default'))
}

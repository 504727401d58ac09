import { type Document, isMap, isScalar, isSeq, parseDocument, type YAMLMap, type YAMLParseError } from 'yaml'
import { keyText } from './locate.ts'
import { type PyYamlRefusal, pyYamlRefusal, unprintable } from './pyyaml.ts'
import { describeSyntaxError } from './syntax.ts'
import { type Refused, refusedText } from './text-limits.ts'
import type { UserDataFinding } from './user-data-finding.ts'
import { readHeader } from './user-data-header.ts'

/** Checks user data by cloud-init's known behavior (`user_data.py`, `handlers/cloud_config.py`). Never throws, and its cost is bounded. */
export function userDataFindings(
  text: string,
  beside: { readonly isFolded: boolean; readonly hasKeys: boolean },
): readonly UserDataFinding[] {
  const header = readHeader(text, beside.isFolded)
  return header.kind === 'checked' ? header.findings : cloudConfig(text, header.kind, beside.hasKeys)
}

/** Checks a network configuration by cloud-init's known behavior (`net/cmdline.py`, `DataSourceNoCloud.py`). As bounded as user data. */
export function networkDataFindings(text: string): readonly UserDataFinding[] {
  const read = readYaml(text)
  if (read.kind === 'findings') return read.findings
  const { contents } = read.document
  const outer = isMap(contents) ? contents.get('network', true) : undefined
  const config = isMap(outer) ? outer : contents
  const version: unknown = isMap(config) ? config.get('version') : undefined
  if (version === 1 || version === 2) return []
  const [from, to] = contents?.range ?? [0, 0]
  const message = 'a network configuration is a mapping with version: 1 or version: 2, so cloud-init drops all of this'
  return [{ severity: 'error', message, help: 'write version: 2 and ethernets, or remove networkData', from, to }]
}

function cloudConfig(text: string, kind: 'config' | 'archive', hasKeys: boolean): readonly UserDataFinding[] {
  const read = readYaml(text)
  if (read.kind === 'findings') return read.findings
  const { contents } = read.document
  if (contents === null || (isScalar(contents) && contents.value === null)) return []
  if (kind === 'config' && isMap(contents)) return inConfig(contents, hasKeys)
  if (kind === 'archive' && isSeq(contents)) return []
  const [from, to] = contents.range ?? [0, 0]
  return [{ severity: 'error', ...wrongRoot[kind], from, to }]
}

type ReadYaml =
  | { readonly kind: 'findings'; readonly findings: readonly UserDataFinding[] }
  | { readonly kind: 'document'; readonly document: Document.Parsed }

/** YAML as cloud-init reads it, or why it does not. */
function readYaml(text: string): ReadYaml {
  const findings = yamlFindings(text)
  return findings.length > 0 ? { kind: 'findings', findings } : { kind: 'document', document: parsed(text) }
}

function yamlFindings(text: string): readonly UserDataFinding[] {
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
  return refusal === undefined ? [] : [notPyYaml(refusal)]
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
  return { severity, message: said, help: help ?? 'fix the YAML', from: error.pos[0], to: error.pos[1] }
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
      return [{ severity: 'warning', message, help: 'write it to cloudInit.networkData, or use ipv4 of a network', from, to }]
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

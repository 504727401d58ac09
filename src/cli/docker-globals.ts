import { UsageError } from './output/outcome.ts'

/** Docker's global flags, which it passes to a plugin before the plugin's name (`docker --context x vm ls` calls `docker-vm --context x vm ls`). */
export interface DockerGlobals {
  /** Passed to every `docker` call of the plugin. */
  readonly args: readonly string[]
  readonly config: string | undefined
  readonly context: string | undefined
  readonly host: string | undefined
}

const withValue = new Map([
  ['config', '--config'],
  ['context', '--context'],
  ['c', '--context'],
  ['host', '--host'],
  ['H', '--host'],
  ['log-level', '--log-level'],
  ['l', '--log-level'],
  ['tlscacert', '--tlscacert'],
  ['tlscert', '--tlscert'],
  ['tlskey', '--tlskey'],
])
const switches = new Map([
  ['debug', '--debug'],
  ['D', '--debug'],
  ['tls', '--tls'],
  ['tlsverify', '--tlsverify'],
])

/** Removes Docker's flags, in every form that Docker accepts, and `vm` from the front. The verbs parse the rest. */
export function dockerGlobals(argv: readonly string[]): { readonly globals: DockerGlobals; readonly rest: readonly string[] } {
  const found: (readonly [flag: string, value: string | undefined])[] = []
  let at = 0
  while (at < argv.length) {
    const word = argv[at] ?? ''
    const read = word.startsWith('--') ? longFlag(word, argv[at + 1]) : shortFlags(word, argv[at + 1])
    if (read === undefined) break
    found.push(...read.flags)
    at += read.words
  }
  const rest = argv.slice(at)
  return { globals: globalsOf(found), rest: rest[0] === 'vm' ? rest.slice(1) : rest }
}

interface Read {
  readonly flags: readonly (readonly [flag: string, value: string | undefined])[]
  readonly words: 1 | 2
}

function longFlag(word: string, next: string | undefined): Read | undefined {
  const [name = '', ...value] = word.slice(2).split('=')
  const given = value.length === 0 ? undefined : value.join('=')
  const plain = switches.get(name)
  if (plain !== undefined) return { flags: [[given === undefined ? plain : `${plain}=${given}`, undefined]], words: 1 }
  const flag = withValue.get(name)
  if (flag === undefined) return undefined
  if (given !== undefined) return { flags: [[flag, given]], words: 1 }
  return { flags: [[flag, needed(word, next)]], words: 2 }
}

/** Parses `-D`, `-c x`, `-cx`, `-c=x` and `-DH x`. */
function shortFlags(word: string, next: string | undefined): Read | undefined {
  if (!/^-[A-Za-z]/.test(word)) return undefined
  const flags: [string, string | undefined][] = []
  for (let at = 1; at < word.length; at += 1) {
    const letter = word[at] ?? ''
    const plain = switches.get(letter)
    const flag = withValue.get(letter)
    if (plain === undefined && flag === undefined) return undefined
    if (plain !== undefined) {
      flags.push([plain, undefined])
      continue
    }
    const attached = word.slice(at + 1).replace(/^=/, '')
    flags.push([flag ?? '', attached === '' ? needed(`-${letter}`, next) : attached])
    return { flags, words: attached === '' ? 2 : 1 }
  }
  return { flags, words: 1 }
}

function needed(flag: string, value: string | undefined): string {
  if (value === undefined) throw new UsageError(`Docker's flag ${flag} needs a value`)
  return value
}

function globalsOf(found: readonly (readonly [flag: string, value: string | undefined])[]): DockerGlobals {
  const last = (wanted: string): string | undefined => found.findLast(([flag]) => flag === wanted)?.[1]
  return {
    args: found.flatMap(([flag, value]) => (value === undefined ? [flag] : [flag, value])),
    config: last('--config'),
    context: last('--context'),
    host: last('--host'),
  }
}

/**
 * The endpoint that Docker uses, in Docker's order: flags, DOCKER_HOST, DOCKER_CONTEXT, the current context. Logins are stored per endpoint, so that
 * a context switch never uses another cluster's controller.
 */
export function dockerEndpoint(
  globals: Pick<DockerGlobals, 'context' | 'host'>,
  env: { readonly host: string | undefined; readonly context: string | undefined },
  currentContext: string | undefined,
): string {
  if (globals.host !== undefined) return `host:${globals.host}`
  // The default context is the endpoint in DOCKER_HOST.
  const named = globals.context ?? (env.host === undefined ? (env.context ?? currentContext) : undefined) ?? 'default'
  return named === 'default' && env.host !== undefined ? `host:${env.host}` : `context:${named}`
}

import { isIP } from 'node:net'
import { parseArgs } from 'node:util'
import { defaultControlKeyFile } from '../api/control-key.ts'
import { type ImageHost, parseImageHost } from '../api/image-hosts.ts'
import { defaultStateRoot, maxStateRootBytes } from '../api/layout.ts'
import { agentPort } from '../api/wire/agent-api.ts'

export interface AgentConfig {
  readonly stateRoot: string
  readonly keyFile: string
  readonly host: string
  readonly port: number
  readonly qemu: string
  readonly qemuImg: string
  /** The operator's image mirrors at private addresses. */
  readonly allowImageHosts: readonly ImageHost[]
  readonly debug: boolean
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

const options = {
  'state-root': { type: 'string' },
  'key-file': { type: 'string' },
  host: { type: 'string' },
  port: { type: 'string' },
  qemu: { type: 'string' },
  'qemu-img': { type: 'string' },
  'allow-image-host': { type: 'string', multiple: true },
  debug: { type: 'boolean' },
} as const

/**
 * Reads the command line, then the environment (`SWARMVIRT_STATE_ROOT`, `SWARMVIRT_CONTROL_KEY_FILE`, `SWARMVIRT_ALLOW_IMAGE_HOSTS`,
 * `SWARMVIRT_DEBUG`). The command line takes precedence. Throws ConfigError.
 */
export function readConfig(argv: readonly string[] = process.argv.slice(2), env: NodeJS.ProcessEnv = process.env): AgentConfig {
  const values = readArguments(argv)
  return {
    stateRoot: checkStateRoot(values['state-root'] ?? env['SWARMVIRT_STATE_ROOT'] ?? defaultStateRoot),
    keyFile: values['key-file'] ?? env['SWARMVIRT_CONTROL_KEY_FILE'] ?? defaultControlKeyFile,
    host: values.host ?? '0.0.0.0',
    port: checkPort(values.port ?? String(agentPort)),
    qemu: values.qemu ?? 'qemu-system-x86_64',
    qemuImg: values['qemu-img'] ?? 'qemu-img',
    allowImageHosts: readImageHosts(values['allow-image-host'] ?? env['SWARMVIRT_ALLOW_IMAGE_HOSTS']?.split(/[,\s]+/) ?? []),
    debug: values.debug ?? env['SWARMVIRT_DEBUG'] === '1',
  }
}

function readArguments(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values
  } catch (cause) {
    throw new ConfigError((cause as Error).message, { cause })
  }
}

function checkStateRoot(path: string): string {
  const root = path.length > 1 ? path.replace(/\/+$/, '') : path
  if (!root.startsWith('/') || root === '/' || root.split('/').includes('..'))
    throw new ConfigError(`--state-root must be an absolute path, not "${path}"`)
  if (Buffer.byteLength(root) > maxStateRootBytes)
    throw new ConfigError(`--state-root must have at most ${maxStateRootBytes} bytes, since socket paths below it are limited to 107`)
  return root
}

function readImageHosts(entries: readonly string[]): ImageHost[] {
  return entries
    .filter((entry) => entry !== '')
    .map((entry) => {
      const parsed = parseImageHost(entry)
      if (parsed === undefined || (parsed.prefix !== undefined && isIP(parsed.host) === 0))
        throw new ConfigError(
          `--allow-image-host must be a host name, an address or a subnet, such as mirror.lan:8080 or 10.0.0.0/24, not "${entry}"`,
        )
      return parsed
    })
}

function checkPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (!(port <= 65_535)) throw new ConfigError(`--port must be a number up to 65535, not "${text}"`)
  return port
}

import { homedir } from 'node:os'
import { join } from 'node:path'

export interface CliConfig {
  /** Directory of the operator's public SSH keys. */
  readonly sshDirectory: string
  /** Docker's configuration directory. */
  readonly dockerConfig: string
  /** The login file, next to Docker's own files. */
  readonly loginFile: string
  /** The `docker` that called this plugin, or else the one on PATH. */
  readonly dockerProgram: string
  /** Docker's environment variables for the endpoint, used without flags. Undefined if not set. */
  readonly endpoint: { readonly host: string | undefined; readonly context: string | undefined }
}

/** Reads the environment as Docker does. `configFlag` is Docker's `--config`. */
export function readConfig(configFlag?: string, env: NodeJS.ProcessEnv = process.env, home: string = homedir()): CliConfig {
  const dockerConfig = configFlag ?? set(env['DOCKER_CONFIG']) ?? join(home, '.docker')
  return {
    sshDirectory: join(home, '.ssh'),
    dockerConfig,
    loginFile: join(dockerConfig, 'swarmvirt.json'),
    dockerProgram: set(env['DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND']) ?? 'docker',
    endpoint: { host: set(env['DOCKER_HOST']), context: set(env['DOCKER_CONTEXT']) },
  }
}

function set(text: string | undefined): string | undefined {
  return text === '' ? undefined : text
}

import { homedir } from 'node:os'
import { join } from 'node:path'

export interface CliConfig {
  /** Where the operator's public SSH keys are. */
  readonly sshDirectory: string
  /** Docker's own configuration directory. */
  readonly dockerConfig: string
  /** Keeps logins beside what Docker keeps itself. */
  readonly loginFile: string
  /** The `docker` that called this plugin, else the one on PATH. */
  readonly dockerProgram: string
  /** What Docker reads where no flag says otherwise; undefined where it is not set. */
  readonly endpoint: { readonly host: string | undefined; readonly context: string | undefined }
}

/** From the environment as Docker reads it; `configFlag` is Docker's `--config`. */
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

import { homedir } from 'node:os'
import { join } from 'node:path'

export interface CliConfig {
  /** Where the operator's public SSH keys are. */
  readonly sshDirectory: string
  /** Keeps the server, its fingerprint and the token beside what Docker keeps itself. */
  readonly loginFile: string
}

/** From the environment: `DOCKER_CONFIG` as Docker reads it, else `~/.docker`. */
export function readConfig(env: NodeJS.ProcessEnv = process.env, home: string = homedir()): CliConfig {
  const dockerConfig = env['DOCKER_CONFIG']
  return {
    sshDirectory: join(home, '.ssh'),
    loginFile: join(dockerConfig === undefined || dockerConfig === '' ? join(home, '.docker') : dockerConfig, 'swarmvirt.json'),
  }
}

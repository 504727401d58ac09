import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The fields in use of Docker's configuration file. */
export interface DockerConfig {
  readonly currentContext?: string
  /** Credential helper for registries that are not in `credHelpers`. */
  readonly credsStore?: string
  readonly credHelpers?: Readonly<Record<string, string>>
}

/** Reads `config.json` from Docker's configuration directory. Empty if it does not exist. Throws if it is not JSON. */
export async function readDockerConfig(directory: string): Promise<DockerConfig> {
  const path = join(directory, 'config.json')
  const text = await readIfThere(path)
  if (text === undefined) return {}
  try {
    return chosen(JSON.parse(text) as Readonly<Record<string, unknown>> | null)
  } catch (cause) {
    throw new Error(`${path} is not JSON, so Docker's context and credential helper are unknown`, { cause })
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return undefined
    throw error
  }
}

function chosen(config: Readonly<Record<string, unknown>> | null): DockerConfig {
  const context = textOf(config?.['currentContext'])
  const store = textOf(config?.['credsStore'])
  const helpers = config?.['credHelpers']
  return {
    ...(context === undefined ? {} : { currentContext: context }),
    ...(store === undefined ? {} : { credsStore: store }),
    ...(helpers !== null && typeof helpers === 'object' ? { credHelpers: helpers as Readonly<Record<string, string>> } : {}),
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

import type { DockerCli } from '../../../src/ports/docker-cli.ts'
import { PortError } from '../../../src/ports/errors.ts'

interface KeptConfig {
  readonly id: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly data: string
  readonly createdAt: string
}

/** `docker config …` on an in-memory Swarm. Each config is one second younger than the one before. */
export interface SwarmConfigs extends DockerCli {
  readonly configs: () => readonly KeptConfig[]
  readonly put: (config: Partial<KeptConfig> & { readonly data: string }) => KeptConfig
  /** The fault of the next call of this kind (`config create`). */
  readonly failNext: (verb: string, message: string) => void
  /** The same, once `calls` of that kind were answered. */
  readonly failAfter: (verb: string, calls: number, message: string) => void
}

export function swarmConfigs(): SwarmConfigs {
  let held: readonly KeptConfig[] = []
  let made = 0
  const failures = new Map<string, { readonly message: string; left: number }>()
  const put: SwarmConfigs['put'] = (given) => {
    made += 1
    const config = {
      id: `id${made}`,
      name: `config-${made}`,
      labels: { 'swarmvirt.manifest': 'true' },
      createdAt: new Date(Date.UTC(2026, 0, 1, 0, 0, made)).toISOString(),
      ...given,
    }
    if (config.name.length > 64 || held.some((one) => one.name === config.name))
      throw new PortError('Invalid', `name ${config.name} is refused`)
    held = [...held, config]
    return config
  }
  const verbs: Readonly<Record<string, (args: readonly string[], input: string) => string>> = {
    'config ls': (args) => {
      const [key = '', value] = (args[args.indexOf('--filter') + 1] ?? '').replace(/^label=/, '').split('=')
      return held.map((one) => (one.labels[key] === value ? `${one.id}\n` : '')).join('')
    },
    'config inspect': (ids) => JSON.stringify(ids.map((id) => inspected(found(held, id)))),
    'config create': (args, data) => {
      const labels = args.flatMap((arg, index) =>
        args[index - 1] === '--label' ? [arg.split(/=(.*)/s).slice(0, 2) as [string, string]] : [],
      )
      return `${put({ name: args.at(-2) ?? '', labels: Object.fromEntries(labels), data }).id}\n`
    },
    'config rm': ([id = '']) => {
      held = held.filter((one) => one !== found(held, id))
      return `${id}\n`
    },
  }
  return {
    configs: () => held,
    put,
    failNext: (verb, message) => void failures.set(verb, { message, left: 0 }),
    failAfter: (verb, calls, message) => void failures.set(verb, { message, left: calls }),
    // Async, so that what it throws is a rejection.
    async run(args, input = '') {
      const verb = args.slice(0, 2).join(' ')
      const failure = failures.get(verb)
      if (failure !== undefined && (failure.left -= 1) < 0) {
        failures.delete(verb)
        throw new PortError('Invalid', failure.message)
      }
      const known = verbs[verb]
      if (known === undefined) throw new Error(`no such verb: docker ${verb}`)
      return known(args.slice(2), input)
    },
  }
}

function found(held: readonly KeptConfig[], id: string): KeptConfig {
  const config = held.find((one) => one.id === id)
  if (config === undefined) throw new PortError('Invalid', `docker config: Error response from daemon: config ${id} not found`)
  return config
}

function inspected(config: KeptConfig): unknown {
  const Data = Buffer.from(config.data).toString('base64')
  return { ID: config.id, CreatedAt: config.createdAt, Spec: { Name: config.name, Labels: config.labels, Data } }
}

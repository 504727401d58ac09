import type { SwarmService } from '../../ports/swarm.ts'
import { dig, rawList, rawNumber } from './raw.ts'

interface PublishedPort {
  readonly target: number | undefined
  readonly port: number
  readonly protocol: string
}

/** The ports that a service publishes under numbers of its own. */
export function publishedPorts({ spec }: Pick<SwarmService, 'spec'>): readonly PublishedPort[] {
  return rawList(dig(spec, 'EndpointSpec', 'Ports')).flatMap((one) => {
    const port = rawNumber(dig(one, 'PublishedPort'))
    const protocol = dig(one, 'Protocol')
    if (port === undefined || port === 0) return []
    return [{ target: rawNumber(dig(one, 'TargetPort')), port, protocol: typeof protocol === 'string' ? protocol : 'tcp' }]
  })
}

/**
 * Why another service keeps a VM from publishing its ports. Swarm would leave its task pending. A port of any other service counts, whichever
 * nodes it runs on, because its tasks may move.
 */
export function portConflict(
  wanted: readonly { readonly published?: number | undefined; readonly protocol: string }[],
  others: readonly SwarmService[],
): string | undefined {
  for (const other of others)
    for (const { port, protocol } of publishedPorts(other))
      if (wanted.some((one) => one.published === port && one.protocol === protocol))
        return `the service ${other.name} publishes port ${port}/${protocol} already`
  return undefined
}

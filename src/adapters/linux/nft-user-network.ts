import * as z from 'zod/mini'
import { nodePorts } from '../../api/node-ports.ts'
import type { UserNetworkFilter } from '../../ports/guest-filter.ts'
import { nft } from './nft.ts'

const table = 'swarmvirt'
/** Addresses that no guest reaches: link-local ones, with the metadata services of clouds, and multicast. */
const neverReached = { ip: ['169.254.0.0/16', '224.0.0.0/4'], ip6: ['fe80::/10', 'ff00::/8'] } as const

export interface UserNetworkOptions {
  readonly interface: string
  /** Addresses of other nodes, which guests cannot reach at all. Networks add nothing: the ports of nodes are dropped everywhere. */
  readonly protect: readonly string[]
}

/**
 * The table `inet swarmvirt`. Everything that comes from the interface and is no answer is dropped if it is for the node, for another task on
 * the interface, for the ports of nodes on any machine, or for a protected address. Docker's own rules forward and masquerade the rest.
 */
export function nftUserNetwork({ interface: name, protect }: UserNetworkOptions): UserNetworkFilter {
  const rules = rulesFor(name, protect)
  return {
    interface: name,
    async isComplete() {
      const objects = listed.parse(JSON.parse(await nft(['-j', 'list ruleset inet'])))
      const found = objects.nftables.filter((one) => ownRule.safeParse(one).success).length
      return found === rules.prerouting.length + rules.input.length + rules.forward.length
    },
    async apply() {
      await nft([script(rules)])
    },
  }
}

const listed = z.object({ nftables: z.array(z.unknown()) })
const ownRule = z.object({ rule: z.object({ family: z.literal('inet'), table: z.literal(table) }) })

interface Rules {
  readonly prerouting: readonly string[]
  readonly input: readonly string[]
  readonly forward: readonly string[]
}

function rulesFor(name: string, protect: readonly string[]): Rules {
  const from = `iifname "${name}"`
  // Docker leads published ports to a task, also from the node itself.
  const answers = `${from} ct state established,related accept`
  return {
    // Before Docker changes the destination: a port that Swarm publishes on the node would otherwise pass as a forwarded packet.
    prerouting: [`${from} ct state new fib daddr type local drop`],
    input: [answers, `${from} drop`],
    forward: [answers, `${from} oifname "${name}" drop`, ...unreached(protect).map((match) => `${from} ${match} drop`)],
  }
}

function unreached(protect: readonly string[]): string[] {
  const ports = nodePorts.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(', ')
  const never = Object.entries(neverReached).map(([family, networks]) => `${family} daddr { ${networks.join(', ')} }`)
  const nodes = protect.filter((one) => !one.includes('/')).map((one) => `${one.includes(':') ? 'ip6' : 'ip'} daddr ${one}`)
  return [...never, `meta l4proto { tcp, udp } th dport { ${ports} }`, ...nodes]
}

/** Runs before the rules of Docker and of most firewalls, which may accept the packet. */
function script({ prerouting, input, forward }: Rules): string {
  const lines = (rules: readonly string[]): string => rules.map((rule) => `    ${rule}`).join('\n')
  return `
table inet ${table} {
  chain prerouting { type filter hook prerouting priority -110; policy accept; }
  chain input { type filter hook input priority -10; policy accept; }
  chain forward { type filter hook forward priority -10; policy accept; }
}
flush table inet ${table}
table inet ${table} {
  chain prerouting {
${lines(prerouting)}
  }
  chain input {
${lines(input)}
  }
  chain forward {
${lines(forward)}
  }
}
`
}

import * as z from 'zod/mini'
import { macField } from '../../api/mac.ts'
import { nodePorts } from '../../api/node-ports.ts'
import type { GuestFilter, TapLock } from '../../ports/guest-filter.ts'
import { maxScriptLength, nft as run } from './nft.ts'

const table = 'swarmvirt'
/** Addresses that a bridge handles itself (IEEE 802.1D, table 7-10). It learns their senders and passes them up before its own hooks. */
const linkLocal = 'ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00'
/**
 * The kernel removes the first tag before any hook. A second tag hides the packet from all other matches until the host's stack removes it as well.
 * `ether type` matches the first tag, `meta protocol` the second.
 */
const tagged = ['ether type 8021q', 'ether type 8021ad', 'meta protocol 8021q', 'meta protocol 8021ad']

/**
 * Rules shared by all TAPs, in a chain that theirs jump to. nft lists each set separately, and the ports are sets: repeated per TAP, they made
 * listing five times slower. No TAP has this name.
 */
const shared = 'guests'

export interface NftFilterOptions {
  /** Validated addresses and networks of the other nodes, IPv4 and IPv6. */
  readonly protect: readonly string[]
}

/** Uses the program `nft`, which needs NET_ADMIN. */
export function nftFilter({ protect }: NftFilterOptions): GuestFilter {
  const read = async (): Promise<Rules> => rulesOf(await run(['-j', 'list ruleset netdev; list ruleset bridge']))
  return {
    async locks() {
      const { locks, taps, jumps, guardsPorts } = await read()
      return locks.map((lock) => ({ ...lock, complete: guardsPorts && taps.has(lock.tap) && jumps.has(lock.tap) }))
    },
    async lock(locks) {
      for (const script of lockScripts(locks, protect)) await run([script])
    },
    async removeUnless(isKept) {
      const { chains, taps } = await read()
      const stale = (names: ReadonlySet<string>): string[] => [...names].filter((name) => !isKept(name))
      const commands = [
        ...stale(chains).map((name) => `delete chain netdev ${table} ${name}`),
        ...stale(taps).map((name) => `delete element bridge ${table} taps { "${name}" }`),
      ]
      for (const script of inScripts(commands)) await run([script])
    },
  }
}

/** Joins the commands into as few scripts as the kernel's limit allows. */
function inScripts(commands: readonly string[]): string[] {
  const scripts: string[] = []
  for (const command of commands) {
    const longer = `${scripts.at(-1) ?? ''}\n${command}`
    if (scripts.length > 0 && longer.length <= maxScriptLength) scripts[scripts.length - 1] = longer
    else scripts.push(command)
  }
  return scripts
}

/**
 * Two tables. The TAP's ingress hook, or the egress hook of a macvtap, runs before the bridge, so no frame with another MAC is learned or forwarded. The bridge's input hook covers
 * packets to any address of the host, and packets that the host would route.
 */
function lockScripts(locks: readonly TapLock[], protect: readonly string[]): string[] {
  const ports = nodePorts.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(', ')
  const toNodePorts = `meta l4proto { tcp, udp } th dport { ${ports} } drop`
  const toOtherNodes = protect.map((network) => `${network.includes(':') ? 'ip6' : 'ip'} daddr ${network} ${toNodePorts}`)
  return inScripts([bridgeScript(toNodePorts), sharedScript(toOtherNodes), ...locks.map(tapScript)])
}

// Uses `typeof`, since nft 1.0.6 (Debian 12) crashes on rules of a host where nft 1.1 declared a set by `type`.
function bridgeScript(toNodePorts: string): string {
  return `
table bridge ${table} {
  set taps { typeof iifname; }
  chain input { type filter hook input priority -200; policy accept; }
}
flush chain bridge ${table} input
table bridge ${table} {
  chain input { iifname @taps ${toNodePorts}; }
}
`
}

function sharedScript(toOtherNodes: readonly string[]): string {
  return `
table netdev ${table} {
  chain ${shared} { }
}
flush chain netdev ${table} ${shared}
table netdev ${table} {
  chain ${shared} {
    ${[`${linkLocal} drop`, ...tagged.map((match) => `${match} drop`), ...toOtherNodes].join('\n    ')}
  }
}
`
}

/** Without the lock, a rule without an effect still tells the MAC to a later broker. */
function macRules({ mac, antiSpoof }: TapLock): string {
  return antiSpoof === 'off' ? `ether saddr != ${mac} continue` : `ether saddr != ${mac} drop\n    arp saddr ether != ${mac} drop`
}

function tapScript(lock: TapLock): string {
  const { tap, hook = 'ingress' } = lock
  return `
table netdev ${table} {
  chain ${tap} { type filter hook ${hook} device "${tap}" priority -500; policy accept; }
}
flush chain netdev ${table} ${tap}
table netdev ${table} {
  chain ${tap} {
    ${macRules(lock)}
    jump ${shared}
  }
}
add element bridge ${table} taps { "${tap}" }
`
}

interface Rules {
  readonly locks: readonly TapLock[]
  readonly chains: ReadonlySet<string>
  readonly taps: ReadonlySet<string>
  /** TAPs whose chain jumps to the shared rules. */
  readonly jumps: ReadonlySet<string>
  /** True if the port rules and the shared rules exist. */
  readonly guardsPorts: boolean
}

const ours = { table: z.literal(table) }
// The objects in use of `nft -j list ruleset`; libnftables-json(5).
const listed = z.object({ nftables: z.array(z.unknown()) })
const listedChain = z.object({ chain: z.object({ ...ours, family: z.string(), name: z.string(), hook: z.optional(z.string()) }) })
const listedSet = z.object({
  set: z.object({ ...ours, family: z.literal('bridge'), name: z.literal('taps'), elem: z.optional(z.array(z.string())) }),
})
const listedRule = z.object({ rule: z.object({ ...ours, family: z.string(), chain: z.string(), expr: z.array(z.unknown()) }) })
const macMatch = z.object({
  match: z.object({
    op: z.literal('!='),
    left: z.object({ payload: z.object({ protocol: z.literal('ether'), field: z.literal('saddr') }) }),
    right: macField,
  }),
})

const jump = z.object({ jump: z.object({ target: z.literal(shared) }) })

function isDrop(expr: unknown): boolean {
  return z.object({ drop: z.null() }).safeParse(expr).success
}

function isJump(expr: unknown): boolean {
  return jump.safeParse(expr).success
}

/** The objects that match, without those of another kind or table. */
function matching<Schema extends z.ZodMiniType>(objects: readonly unknown[], schema: Schema): z.output<Schema>[] {
  return objects.flatMap((one) => schema.safeParse(one).data ?? [])
}

/** The output has one JSON document per line and command. */
function rulesOf(output: string): Rules {
  const documents = output.split('\n').filter((line) => line !== '')
  const objects = documents.flatMap((line) => listed.parse(JSON.parse(line)).nftables)
  const rules = matching(objects, listedRule).map(({ rule }) => rule)
  const hooks = new Map(matching(objects, listedChain).map(({ chain: { name, hook } }) => [name, hook]))
  const locks = rules.flatMap(({ family, chain, expr }): TapLock[] => {
    const match = macMatch.safeParse(expr[0])
    if (family !== 'netdev' || !match.success) return []
    const hook = hooks.get(chain) === 'egress' ? { hook: 'egress' as const } : {}
    return [{ tap: chain, mac: match.data.match.right, ...(isDrop(expr[1]) ? {} : { antiSpoof: 'off' }), ...hook }]
  })
  const has = (family: string, chain: string): boolean => rules.some((one) => one.family === family && one.chain === chain)
  const chains = matching(objects, listedChain).flatMap(({ chain: { family, name } }) =>
    family === 'netdev' && name !== shared ? name : [],
  )
  return {
    locks,
    chains: new Set(chains),
    taps: new Set(matching(objects, listedSet).flatMap(({ set }) => set.elem ?? [])),
    jumps: new Set(rules.flatMap(({ family, chain, expr }) => (family === 'netdev' && isJump(expr[0]) ? chain : []))),
    guardsPorts: has('bridge', 'input') && has('netdev', shared),
  }
}

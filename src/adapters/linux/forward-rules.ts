import * as z from 'zod/mini'

/** The objects in use of `nft -j list ruleset`; libnftables-json(5). */
const listed = z.object({ nftables: z.array(z.unknown()) })
const chainObject = z.object({
  chain: z.object({
    family: z.string(),
    table: z.string(),
    name: z.string(),
    hook: z.optional(z.string()),
    type: z.optional(z.string()),
    policy: z.optional(z.string()),
  }),
})
const ruleObject = z.object({ rule: z.object({ family: z.string(), table: z.string(), chain: z.string(), expr: z.array(z.unknown()) }) })
const interfaceMatch = z.object({
  match: z.object({
    op: z.enum(['==', '!=']),
    left: z.object({ meta: z.object({ key: z.enum(['iifname', 'oifname', 'iif', 'oif']) }) }),
    right: z.string(),
  }),
})
const verdictKeys = ['accept', 'drop', 'return', 'jump', 'goto'] as const
const target = z.object({ target: z.string() })

type Verdict = 'accept' | 'drop' | 'return' | 'none'
type Chains = ReadonlyMap<string, readonly (readonly unknown[])[]>

/** Deeper than any firewall; a loop cannot be loaded. */
const deepest = 16

/**
 * The first chain of the forward hook that drops packets from one port of this bridge to another, as `FAMILY TABLE CHAIN`. Rules that also match
 * other things, such as the state of a connection, cannot be judged: such a drop is skipped, and such an accept counts unless it names other
 * interfaces, so that a custom rule causes no false alarm.
 */
export function droppingChain(output: string, bridge: string): string | undefined {
  const objects = output.split('\n').flatMap((line) => (line === '' ? [] : listed.parse(JSON.parse(line)).nftables))
  const bases = objects.flatMap((one) => chainObject.safeParse(one).data?.chain ?? [])
  const chains = new Map<string, (readonly unknown[])[]>()
  for (const one of objects) {
    const rule = ruleObject.safeParse(one).data?.rule
    if (rule === undefined) continue
    const key = `${rule.family} ${rule.table} ${rule.chain}`
    chains.set(key, [...(chains.get(key) ?? []), rule.expr])
  }
  for (const { family, table, name, hook, type, policy } of bases) {
    if (hook !== 'forward' || type !== 'filter' || !['ip', 'inet'].includes(family)) continue
    const verdict = verdictOf(chains, `${family} ${table}`, name, bridge, 0)
    if (verdict === 'drop' || (verdict !== 'accept' && policy === 'drop')) return `${family} ${table} ${name}`
  }
  return undefined
}

function verdictOf(chains: Chains, table: string, chain: string, bridge: string, depth: number): Verdict {
  for (const expressions of chains.get(`${table} ${chain}`) ?? []) {
    const verdict = ruleVerdict(chains, table, expressions, bridge, depth)
    if (verdict === 'return') return 'none'
    if (verdict !== 'none') return verdict
  }
  return 'none'
}

function ruleVerdict(chains: Chains, table: string, expressions: readonly unknown[], bridge: string, depth: number): Verdict {
  if (!expressions.every((one) => mayMatch(one, bridge))) return 'none'
  const isSure = expressions.every(isJudged)
  const found = expressions.flatMap((one) => verdictKeys.flatMap((key) => (isObject(one) && key in one ? [[key, one[key]] as const] : [])))
  const [key, value] = found[0] ?? []
  switch (key) {
    case 'accept':
      return isSure || !expressions.some(isConnectionState) ? 'accept' : 'none'
    case 'drop':
    case 'return':
      return isSure ? key : 'none'
    case 'jump':
    case 'goto': {
      const to = target.safeParse(value).data?.target
      if (to === undefined || depth >= deepest) return 'none'
      const verdict = verdictOf(chains, table, to, bridge, depth + 1)
      return verdict === 'drop' && !isSure ? 'none' : verdict
    }
    case undefined:
      return 'none'
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object'
}

/** False only for a match of another interface. */
function mayMatch(expression: unknown, bridge: string): boolean {
  const match = interfaceMatch.safeParse(expression).data?.match
  if (match === undefined) return true
  const { op, right } = match
  const isSame = right.endsWith('*') ? bridge.startsWith(right.slice(0, -1)) : bridge === right
  return isSame === (op === '==')
}

/** Verdicts, counters, comments and matches of interfaces decide alone. */
function isJudged(expression: unknown): boolean {
  if (!isObject(expression)) return false
  return interfaceMatch.safeParse(expression).success || [...verdictKeys, 'counter', 'log'].some((key) => key in expression)
}

/** `ct` of nft, or the matches of iptables. */
function isConnectionState(expression: unknown): boolean {
  return isObject(expression) && /"ct"|"name":"(conntrack|state)"/.test(JSON.stringify(expression))
}

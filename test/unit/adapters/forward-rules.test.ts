import { expect, test } from 'vitest'
import { droppingChain } from '../../../src/adapters/linux/forward-rules.ts'

const base = { family: 'ip', table: 'filter', name: 'FORWARD', hook: 'forward', type: 'filter' }
const inChain = (chain: string, ...expr: object[]) => ({ rule: { family: 'ip', table: 'filter', chain, expr } })
const rule = (...expr: object[]) => inChain('FORWARD', ...expr)
const at = (key: 'iifname' | 'oifname', right: string, op: '==' | '!=' = '==') => ({ match: { op, left: { meta: { key } }, right } })
const accept = { accept: null }
const counter = { counter: { packets: 0, bytes: 0 } }
const tracked = { match: { op: 'in', left: { ct: { key: 'state' } }, right: ['established', 'related'] } }
const physdev = { xt: { type: 'match', name: 'physdev' } }

/** One document per command, as nft writes them. */
function dropsBr0(policy: 'accept' | 'drop', ...objects: object[]): string | undefined {
  const documents = [[{ metainfo: {} }, { chain: { ...base, policy } }, ...objects], []]
  return droppingChain(documents.map((nftables) => JSON.stringify({ nftables })).join('\n'), 'br0')
}

const drop = 'ip filter FORWARD'

test.each<[string, 'accept' | 'drop', object[], string | undefined]>([
  ['an empty chain with policy accept', 'accept', [], undefined],
  ['an empty chain with policy drop', 'drop', [], drop],
  [
    "Docker's chain",
    'drop',
    [
      rule(counter, { jump: { target: 'DOCKER-USER' } }),
      inChain('DOCKER-USER', counter, { return: null }),
      rule(at('oifname', 'docker0'), tracked, accept),
      rule(at('iifname', 'docker0'), at('oifname', 'docker0', '!='), accept),
    ],
    drop,
  ],
  ['the rule of the documentation', 'drop', [rule(at('iifname', 'br0'), at('oifname', 'br0'), counter, accept)], undefined],
  ['a rule for another bridge', 'drop', [rule(at('iifname', 'br1'), at('oifname', 'br1'), counter, accept)], drop],
  ['a rule for several bridges', 'drop', [rule(at('iifname', 'br*'), accept)], undefined],
  [
    'a rule in the chain for users',
    'drop',
    [rule({ jump: { target: 'DOCKER-USER' } }), inChain('DOCKER-USER', at('iifname', 'br0'), accept)],
    undefined,
  ],
  ['only answers accepted', 'drop', [rule(tracked, accept)], drop],
  ['only answers accepted by iptables', 'drop', [rule({ xt: { type: 'match', name: 'conntrack' } }, accept)], drop],
  ['bridged frames accepted by a match that nft cannot show', 'drop', [rule(physdev, accept)], undefined],
  ['a rule that drops frames of the bridge', 'accept', [rule(at('iifname', 'br0'), { drop: null })], drop],
  ['a rule that drops frames after they were accepted', 'accept', [rule(at('oifname', 'br0'), accept), rule({ drop: null })], undefined],
  ['a drop with a condition', 'accept', [rule(tracked, { drop: null })], undefined],
  ['a jump without an end', 'drop', [rule({ jump: { target: 'FORWARD' } })], drop],
])('%s with policy %s: %#', (_name, policy, objects, expected) => {
  expect(dropsBr0(policy, ...objects)).toBe(expected)
})

test('chains of other hooks, types and families do not count', () => {
  for (const change of [{ hook: 'input' }, { type: 'nat' }, { family: 'bridge' }])
    expect(droppingChain(JSON.stringify({ nftables: [{ chain: { ...base, policy: 'drop', ...change } }] }), 'br0')).toBeUndefined()
})

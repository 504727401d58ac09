import { expect, test } from 'vitest'
import { ForwardDrops } from '../../../src/broker/forward-drops.ts'
import { HostError } from '../../../src/ports/host-network.ts'
import { silentLog } from '../controller/virtual-clock.ts'

/** A host whose FORWARD chain accepts only these bridges. */
function aHost(fix: boolean) {
  const host = { accepted: new Set<string>(), fails: false, ignores: false }
  const forwarding = {
    drop: async (bridge: string) => {
      if (host.fails) throw new HostError('Io', 'nft: no such table')
      return host.accepted.has(bridge) ? undefined : { chain: 'ip filter FORWARD' }
    },
    accept: async (bridge: string) => {
      if (!host.ignores) host.accepted.add(bridge)
    },
  }
  return { host, drops: new ForwardDrops({ forwarding, bridges: ['br0', 'br1'], fix, log: silentLog }) }
}

test('a drop is reported for each bridge with the rule that helps, and nothing is changed', async () => {
  const { host, drops } = aHost(false)
  await drops.check()
  expect(drops.problem('br1')).toMatchObject({ reason: 'ForwardDropped' })
  expect(drops.problem('br1')?.message).toContain('iptables -I FORWARD -i br1 -o br1 -j ACCEPT')
  expect(host.accepted.size).toBe(0)
  host.accepted.add('br1')
  await drops.check()
  expect(drops.problem('br1')).toBeUndefined()
  expect(drops.problem('br0')).toBeDefined()
})

test('a broker with --fix-forward adds the rule, again after somebody removed it', async () => {
  const { host, drops } = aHost(true)
  for (const _round of [1, 2]) {
    host.accepted.clear()
    await drops.check()
    expect([...host.accepted]).toEqual(['br0', 'br1'])
    expect(drops.problem('br0')).toBeUndefined()
  }
  host.accepted.clear()
  host.ignores = true
  await drops.check()
  expect(drops.problem('br0')).toBeDefined()
})

test('a host whose rules cannot be read keeps its last finding', async () => {
  const { host, drops } = aHost(false)
  await drops.check()
  host.fails = true
  await drops.check()
  expect(drops.problem('br0')).toBeDefined()
})

import { expect, test } from 'vitest'
import { PortError } from '../../../src/ports/errors.ts'
import { assetsReconciler } from '../../../src/reconcilers/assets/index.ts'
import { Cluster } from '../../simulation/cluster.ts'

async function running(): Promise<Cluster> {
  const cluster = new Cluster()
  cluster.declare('web')
  await cluster.converge()
  return cluster
}

test('an order that the agent has is not sent again, and its progress is read', async () => {
  const cluster = await running()
  const agent = cluster.agent('n1')
  const sent = agent.sent
  const assets = assetsReconciler(cluster.ports())
  expect(await cluster.run(assets, 'web')).toMatchObject({ actions: [], next: { kind: 'requeueAfter', ms: 30_000 } })
  agent.refusal = { state: 'failed', reason: 'InsufficientDisk', message: 'the disk is full' }
  await cluster.run(assets, 'web')
  expect(cluster.said('web', 'AssetsReady')).toBe('False InsufficientDisk')
  expect(agent.sent).toBe(sent)
})

test('an agent that has restarted gets the order once, and no condition changes', async () => {
  const cluster = await running()
  const agent = cluster.agent('n1')
  const { sent, carriedOut } = agent
  agent.restart()
  const assets = assetsReconciler(cluster.ports())
  expect(await cluster.run(assets, 'web')).toMatchObject({ actions: [{ kind: 'prepare', nodeId: 'node-n1' }], conditions: [] })
  expect(await cluster.run(assets, 'web')).toMatchObject({ actions: [] })
  // The run that follows uses the answer to the order.
  expect([agent.sent, agent.carriedOut]).toEqual([sent + 1, carriedOut + 1])
})

test('the run that follows an order does not send it again, even if the agent forgets it at once', async () => {
  const cluster = await running()
  const agent = cluster.agent('n1')
  const assets = assetsReconciler(cluster.ports())
  const kinds: string[] = []
  for (const _run of [1, 2, 3, 4]) {
    agent.restart()
    kinds.push((await cluster.run(assets, 'web'))?.actions.map((one) => one.kind).join() ?? 'failed')
  }
  expect(kinds).toEqual(['prepare', '', 'prepare', ''])
})

test('the answer to an order is not taken for that to a later one', async () => {
  const cluster = await running()
  const agent = cluster.agent('n1')
  const assets = assetsReconciler(cluster.ports())
  agent.restart()
  await cluster.run(assets, 'web')
  cluster.declare('web', { networks: [{ name: 'lan', bridge: 'br7' }] })
  expect(await cluster.run(assets, 'web')).toMatchObject({
    actions: [{ kind: 'prepare', order: { pending: { nics: [{ bridge: 'br7' }] } } }],
  })
})

test('an agent of release 0.1 gets its order at every observation, which is no action', async () => {
  const cluster = await running()
  const agent = cluster.agent('n1')
  agent.isOld = true
  const assets = assetsReconciler(cluster.ports())
  const { carriedOut } = agent
  for (const _run of [1, 2]) expect(await cluster.run(assets, 'web')).toMatchObject({ actions: [] })
  expect(agent.carriedOut).toBe(carriedOut + 2)
  expect(cluster.said('web', 'AssetsReady')).toBe('True Prepared')
})

test('an agent that does not respond to its order leaves the VM placed, and gets the order again', async () => {
  const cluster = await running()
  const agent = cluster.agent('n1')
  agent.restart()
  agent.prepare = () => Promise.reject(new PortError('Unavailable', 'no answer within 10 s'))
  const assets = assetsReconciler(cluster.ports())
  await cluster.run(assets, 'web')
  await cluster.run(assets, 'web')
  expect(cluster.errors).toEqual([])
  expect([cluster.said('web', 'Placed'), cluster.said('web', 'AssetsReady')]).toEqual(['True Placed', 'Unknown AgentUnreachable'])
  expect(await cluster.run(assets, 'web')).toMatchObject({ actions: [{ kind: 'prepare' }] })
})

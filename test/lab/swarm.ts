import { mustDocker } from './engine.ts'
import type { LabLayout, NodeLayout } from './layout.ts'
import { say, until } from './run.ts'

async function swarmInit(layout: LabLayout, node: NodeLayout): Promise<void> {
  await mustDocker(layout, node.dockerSocket, ['swarm', 'init', '--advertise-addr', node.managementIp])
}

/** Joins as a manager. Raft takes one new member at a time, so a refusal is tried again. */
export async function swarmJoin(layout: LabLayout, node: NodeLayout, manager: NodeLayout): Promise<void> {
  const token = (await mustDocker(layout, manager.dockerSocket, ['swarm', 'join-token', '-q', 'manager'])).trim()
  const join = ['swarm', 'join', '--advertise-addr', node.managementIp, '--token', token, `${manager.managementIp}:2377`]
  await until(
    `${node.name} to join`,
    40_000,
    async () => {
      const state = await mustDocker(layout, node.dockerSocket, ['info', '-f', '{{.Swarm.LocalNodeState}}'])
      if (state.trim() === 'active') return true
      if (state.trim() === 'inactive') await mustDocker(layout, node.dockerSocket, join)
      return state.trim() === 'inactive' ? true : undefined
    },
    300,
  )
}

export async function waitReady(layout: LabLayout, asked: NodeLayout, names: readonly string[]): Promise<void> {
  await until(
    `${names.join(', ')} to be Ready`,
    40_000,
    async () => {
      const listing = await mustDocker(layout, asked.dockerSocket, [
        'node',
        'ls',
        '--format',
        '{{.Hostname}} {{.Status}} {{.ManagerStatus}}',
      ])
      const ready = listing.split('\n').filter((line) => / Ready (Leader|Reachable)/.test(line))
      return names.every((name) => ready.some((line) => line.startsWith(`${name} `))) ? true : undefined
    },
    100,
  )
}

export async function makeSwarm(layout: LabLayout): Promise<void> {
  const [first, ...others] = layout.nodes
  if (first === undefined) return
  say('making the swarm …')
  await swarmInit(layout, first)
  await Promise.all(others.map((node) => swarmJoin(layout, node, first)))
  await waitReady(
    layout,
    first,
    layout.nodes.map((node) => node.name),
  )
}

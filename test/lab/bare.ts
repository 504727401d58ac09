/** A Swarm of two dockerds and nothing else: no image, no registry, no DHCP. For figures of the control plane alone. */
import { clearLab } from './clear.ts'
import { startHolder } from './daemons.ts'
import { mustDocker, startDockerd } from './engine.ts'
import { type LabLayout, layoutFromEnv } from './layout.ts'
import { withLock } from './lock.ts'
import { makeSwitches, plugIn } from './network.ts'
import { ensurePackages } from './packages.ts'
import { makeSwarm } from './swarm.ts'

export interface BareSwarm {
  readonly layout: LabLayout
  /** The manager's, as a path of the machine. */
  readonly socket: string
  docker(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<string>
  down(): Promise<void>
}

const lockTimeoutMs = 900_000

/** The first node is the only manager. Clears first what an earlier run of this name left. */
export async function bareSwarm(name: string): Promise<BareSwarm> {
  const whole = layoutFromEnv(process.env, name)
  const layout = { ...whole, nodes: whole.nodes.slice(0, 2) }
  const [first] = layout.nodes
  if (first === undefined) throw new Error('a Swarm without nodes')
  const down = (): Promise<void> => withLock(layout.lab, lockTimeoutMs, () => clearLab(whole))
  await down()
  await withLock(layout.lab, lockTimeoutMs, async () => {
    await ensurePackages()
    await makeSwitches(layout)
    for (const node of layout.nodes) {
      await plugIn(layout, node)
      await startHolder(layout, node.name, node.cgroup, node.dir, node.netns)
      await startDockerd(layout, node)
    }
    await makeSwarm(layout)
  })
  const docker: BareSwarm['docker'] = (args, env) =>
    mustDocker(layout, first.dockerSocket, args, env === undefined ? {} : { env: { ...process.env, ...env } })
  for (const node of layout.nodes.slice(1)) await docker(['node', 'demote', node.name])
  return { layout, socket: first.dockerSocket, docker, down }
}

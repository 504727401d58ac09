import { dockerSwarm } from '../../../src/adapters/docker/docker-swarm.ts'
import type { SwarmEvent } from '../../../src/ports/swarm.ts'
import { e2eLab } from '../../e2e/support.ts'
import { type Lab, openLab } from '../../lab/lab.ts'
import type { NodeName } from '../../lab/lab.ts'
import { until } from '../../lab/run.ts'
import { factsLabel, nodeNamed, type Rig } from './rig.ts'

/** Long enough for managers to have done what they do by themselves; an update is under way within 200 ms. */
const quietMs = 1_200
const limitMs = 30_000

const container = { Image: 'swarmvirt-tiny:1', Command: ['sleep', '600'], Init: true, StopGracePeriod: 5_000_000_000 }
/** It does not hear SIGTERM. */
const stubborn = {
  ...container,
  Command: ['sh', '-c', 'trap "" TERM; while :; do sleep 1; done'],
  Init: false,
  StopGracePeriod: 2_000_000_000,
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** The real Swarm of a lab, asked through the adapter. */
export async function dockerRig(): Promise<{ readonly rig: Rig; close(): Promise<void> }> {
  const lab = await openLab(e2eLab)
  const swarm = dockerSwarm(`unix://${lab.node('n1').dockerSocket}`)
  const prefix = `facts-${process.pid}`
  const networks = [`${prefix}-net`, `${prefix}-other`] as const
  for (const network of networks) await lab.mustDocker('n1', ['network', 'create', '--driver', 'overlay', network])
  const removed = new Set<NodeName>()
  const rig: Rig = {
    swarm,
    prefix,
    container,
    stubborn,
    networks,
    hasContainers: true,
    isUp: (task) => isUp(lab, task.nodeId ?? '', task.containerId ?? ''),
    listen: () => listen(rig),
    async remove(hostname) {
      const { id } = await nodeNamed(rig, hostname)
      removed.add(hostname as NodeName)
      await lab.removeNode(hostname as NodeName)
      return id
    },
    quiet: () => pause(quietMs),
    until: (what, read) => until(what, limitMs, read, 100),
  }
  return { rig, close: () => close(lab, rig, removed) }

  async function isUp(on: Lab, nodeId: string, containerId: string): Promise<boolean> {
    const hostname = (await swarm.listNodes()).find((one) => one.id === nodeId)?.hostname
    const listed = await on.mustDocker(hostname as NodeName, ['ps', '--quiet', '--no-trunc'])
    return listed.split('\n').includes(containerId)
  }
}

async function listen({ swarm }: Rig): ReturnType<Rig['listen']> {
  const stopping = new AbortController()
  const heard: SwarmEvent[] = []
  const following = (async () => {
    for await (const event of swarm.events(stopping.signal)) heard.push(event)
  })()
  await pause(500)
  return {
    heard,
    async stop() {
      stopping.abort()
      await following
    },
  }
}

async function close(lab: Lab, { swarm, networks }: Rig, removed: ReadonlySet<NodeName>): Promise<void> {
  for (const service of await swarm.listServices(factsLabel)) await swarm.removeService(service.id)
  for (const config of await swarm.listConfigs(factsLabel)) await swarm.removeConfig(config.id)
  for (const secret of await swarm.listSecrets(factsLabel)) await swarm.removeSecret(secret.id)
  for (const name of removed) await lab.joinNode(name)
  for (const name of removed) await lab.waitReady(name)
  // A network is in use until the last container on it is gone.
  for (const network of networks) await until(`${network} to be removable`, limitMs, () => removeNetwork(lab, network), 300)
}

async function removeNetwork(lab: Lab, network: string): Promise<true | undefined> {
  return (await lab.docker('n1', ['network', 'rm', network])).code === 0 ? true : undefined
}

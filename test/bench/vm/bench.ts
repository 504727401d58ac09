/** Figures of a VM on the lab: all VMs on one node, beside the same QEMU without swarmvirt. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { NodeView } from '../../../src/api/wire/controller-api.ts'
import { manifest, waitReady } from '../../e2e/support.ts'
import { type Deployment, deploy } from '../../lab/deployment.ts'
import { labUp } from '../../lab/lab.ts'
import { say, until } from '../../lab/run.ts'
import type { Figure, FigureName, Figures } from '../figures.ts'
import { measureMemory } from './memory.ts'
import { node, untilHalted } from './node.ts'
import { measureStart } from './start.ts'

const vms = ['bench-1', 'bench-2', 'bench-3', 'bench-4'] as const

export async function benchVm(wanted: ReadonlySet<FigureName>, rounds: number): Promise<Figures> {
  if (!wanted.has('start') && !wanted.has('vm-memory')) return {}
  const lab = await labUp('bench', { fresh: true })
  try {
    // Left by an earlier run: these VMs would be placed before the other nodes are paused.
    rmSync(join(lab.node(node).dir, 'manifests'), { recursive: true, force: true })
    const deployment = await deploy(lab, lab.images, say)
    await prepareNodes(deployment)
    const memory: Figures = wanted.has('vm-memory') ? { 'vm-memory': await fourVms(deployment) } : {}
    if (!wanted.has('start')) return memory
    say('measuring start …')
    return { ...memory, start: await measureStart(deployment, rounds) }
  } finally {
    await lab.down()
  }
}

/** Only one node takes VMs, so that they share its agent and broker. */
async function prepareNodes(deployment: Deployment): Promise<void> {
  const { lab } = deployment
  // A paused node would start no agent.
  await until('every agent', 120_000, async () => ((await readyNodes(deployment)) === lab.nodes.length ? true : undefined), 500)
  for (const other of ['n2', 'n3']) {
    // The controller labels the node too, and the second of two writers gets "update out of sequence".
    const pause = () => lab.mustDocker(node, ['node', 'update', '--availability', 'pause', other])
    await until(`${other} to be paused`, 30_000, pause)
  }
}

async function readyNodes(deployment: Deployment): Promise<number> {
  const { nodes } = (await deployment.api('/api/v1/nodes')).body as { nodes: NodeView[] }
  return nodes.filter((one) => one.facts?.broker != null && one.labels['vm-capable'] === 'true').length
}

async function fourVms(deployment: Deployment): Promise<Figure> {
  say('measuring vm-memory …')
  for (const name of vms) deployment.writeManifest(`${name}.yaml`, manifest(name))
  for (const name of vms) await waitReady(deployment, name, 240_000)
  const figure = await measureMemory(deployment.lab)
  for (const name of vms) deployment.writeManifest(`${name}.yaml`, manifest(name, { runStrategy: 'Halted' }))
  await untilHalted(deployment.lab)
  return figure
}

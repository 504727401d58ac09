/** An agent that hangs: it holds connections open and answers nothing. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  containerOf,
  guestPage,
  manifest,
  openE2e,
  otherNode,
  removeManifests,
  serviceOf,
  waitForCondition,
  waitReady,
} from '../e2e/support.ts'
import type { Deployment } from '../lab/deployment.ts'
import type { NodeName } from '../lab/lab.ts'
import { say, until } from '../lab/run.ts'

const [steady, stuck, ...edited] = ['steady-on', 'stuck', 'free-1', 'free-2', 'free-3', 'free-4'] as const
/** A call gives an agent up after 10 s; one that knows it as silent fails at once. */
const mostMs = 10_000
let deployment: Deployment
let node: NodeName

beforeAll(async () => {
  deployment = await openE2e()
  const { lab } = deployment
  deployment.writeManifest(`${stuck}.yaml`, manifest(stuck))
  await waitReady(deployment, stuck)
  ;({ node } = await containerOf(lab, stuck))
  await lab.mustDocker('n1', ['node', 'update', '--availability', 'pause', node])
  deployment.writeManifest(`${steady}.yaml`, manifest(steady))
  for (const name of edited) deployment.writeManifest(`${name}.yaml`, manifest(name, { runStrategy: 'Halted' }))
  await waitReady(deployment, steady)
  for (const name of edited) await waitForCondition(deployment, name, 'Ready', (one) => one.reason === 'Halted')
  await lab.mustDocker('n1', ['node', 'update', '--availability', 'active', node])
})

afterAll(() => removeManifests(deployment, [steady, stuck, ...edited]))

async function agentPid(): Promise<number> {
  const { lab } = deployment
  const id = await lab.mustDocker(node, ['ps', '--quiet', '--filter', 'label=com.docker.swarm.service.name=swarmvirt_agent'])
  return Number(await lab.mustDocker(node, ['inspect', '--format', '{{.State.Pid}}', id.trim()]))
}

async function memory(name: string): Promise<number | undefined> {
  return (await serviceOf(deployment.lab, name))?.Spec.TaskTemplate.Resources.Limits.MemoryBytes
}

/** Edits all of the others, and gives how long it took until their services were changed. */
async function editAll(text: string): Promise<number> {
  const before = await Promise.all(edited.map(memory))
  const began = performance.now()
  for (const name of edited) deployment.writeManifest(`${name}.yaml`, manifest(name, { runStrategy: 'Halted', memory: text }))
  for (const [index, name] of edited.entries())
    await until(`the edit of ${name}`, 120_000, async () => ((await memory(name)) === before[index] ? undefined : true))
  return Math.round(performance.now() - began)
}

it('holds up no VM of another node, and its own VM says why nothing is known of it', async () => {
  const usualMs = await editAll('208Mi')
  const pid = await agentPid()
  process.kill(pid, 'SIGSTOP')
  try {
    await waitForCondition(deployment, stuck, 'GuestRunning', (one) => one.status === 'Unknown' && one.reason === 'AgentUnreachable')
    const hungMs = await editAll('224Mi')
    say(`edits of ${edited.length} VMs: ${usualMs} ms, and ${hungMs} ms beside an agent that hangs`)
    expect(hungMs).toBeLessThan(usualMs + mostMs)
    const { facts } = await waitReady(deployment, steady)
    expect(await guestPage(deployment.lab, facts['ip'] ?? '', otherNode(deployment.lab, node))).toBe(steady)
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  await waitReady(deployment, stuck)
})

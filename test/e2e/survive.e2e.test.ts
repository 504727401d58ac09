import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { VmView } from '../../src/api/wire/controller-api.ts'
import type { Deployment } from '../lab/deployment.ts'
import { until } from '../lab/run.ts'
import { containerOf, containersOf, manifest, openE2e, removeManifests, waitForCondition, waitReady } from './support.ts'

const name = 'steady'
let deployment: Deployment
let before: string

/** Kills the container's first process the hard way; its keeper starts another. */
async function killContainer(filter: string): Promise<number> {
  let killed = 0
  for (const node of deployment.lab.nodes) {
    const ids = (await deployment.lab.mustDocker(node.name, ['ps', '--quiet', '--filter', filter])).split('\n').filter((id) => id !== '')
    for (const id of ids) {
      await deployment.lab.mustDocker(node.name, ['kill', '--signal', 'KILL', id])
      killed += 1
    }
  }
  return killed
}

async function stillTheSame(): Promise<void> {
  expect((await containersOf(deployment.lab, name)).map((one) => one.id)).toEqual([before])
}

/** Ready from what was seen after the kill: the controller checks a steady VM every ten seconds. One that was itself killed knows only what it saw since. */
async function readyAgain(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 12_000))
  await waitReady(deployment, name)
}

/** By condition, as a dashboard shows it. */
function since(vm: VmView): Record<string, string> {
  const lasting = vm.conditions.filter((one) => one.status === 'True' && one.type !== 'Reconciling')
  return Object.fromEntries(lasting.map((one) => [one.type, one.lastTransitionTime]))
}

beforeAll(async () => {
  deployment = await openE2e()
  deployment.writeManifest(`${name}.yaml`, manifest(name))
  await waitReady(deployment, name)
  before = (await containerOf(deployment.lab, name)).id
})

afterAll(async () => {
  await removeManifests(deployment, [name])
})

describe('a running VM outlives', () => {
  it('kill -9 of the controller', async () => {
    expect(await killContainer('label=com.docker.swarm.service.name=swarmvirt_controller')).toBe(1)
    await waitReady(deployment, name)
    await stillTheSame()
  })

  it('kill -9 of every agent', async () => {
    expect(await killContainer('label=com.docker.swarm.service.name=swarmvirt_agent')).toBe(3)
    await readyAgain()
    await stillTheSame()
  })

  it('kill -9 of every broker, which then believes only the true holder', async () => {
    for (const node of deployment.lab.nodes) {
      // `docker kill` counts as a stop by hand, after which a restart policy does nothing: kill the process itself.
      const pid = (await deployment.lab.mustDocker(node.name, ['inspect', '--format', '{{.State.Pid}}', 'swarmvirt-broker'])).trim()
      process.kill(Number(pid), 'SIGKILL')
    }
    await until('brokers', 30_000, async () => {
      const states = await Promise.all(
        deployment.lab.nodes.map((node) =>
          deployment.lab.mustDocker(node.name, ['inspect', '--format', '{{.State.Running}}', 'swarmvirt-broker']),
        ),
      )
      return states.every((state) => state.trim() === 'true') ? true : undefined
    })
    await readyAgain()
    await stillTheSame()
  })

  it('a new release of the controller that changes nothing about it, nor since when its conditions are so', async () => {
    const times = since(await waitReady(deployment, name))
    await deployment.lab.mustDocker('n1', [
      'service',
      'update',
      '--detach=false',
      '--quiet',
      '--env-add',
      'SWARMVIRT_RUNNER_IMAGE=swarmvirt-node:next',
      'swarmvirt_controller',
    ])
    await waitReady(deployment, name)
    await stillTheSame()
    expect(since(await waitReady(deployment, name))).toEqual(times)
    await deployment.lab.mustDocker('n1', ['service', 'rollback', '--detach=false', '--quiet', 'swarmvirt_controller'])
    await waitForCondition(deployment, name, 'Ready', (one) => one.status === 'True')
    await stillTheSame()
  })
})

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deployment } from '../lab/deployment.ts'
import type { NodeName } from '../lab/lab.ts'
import { until } from '../lab/run.ts'
import {
  conditionOf,
  containerOf,
  containersOf,
  instanceDirectory,
  manifest,
  openE2e,
  removeManifests,
  uidOf,
  waitForCondition,
  waitReady,
  watchWriters,
} from './support.ts'

const name = 'single'
let deployment: Deployment
let disk: string
let node: NodeName

/** Does something that makes Swarm start a second task; returns the most containers seen side by side and the most writers. */
async function replace(act: () => Promise<void>): Promise<{ writers: number; samples: number; containers: number }> {
  const { id } = await containerOf(deployment.lab, name)
  const watch = watchWriters(disk)
  let containers = 0
  await act()
  await until('another container alone', 150_000, async () => {
    const now = await containersOf(deployment.lab, name)
    containers = Math.max(containers, now.length)
    return now.length === 1 && now[0]?.id !== id ? true : undefined
  })
  await waitForCondition(deployment, name, 'GuestRunning', (one) => one.status === 'True')
  await waitReady(deployment, name)
  const { most, samples } = watch.stop()
  return { writers: most, samples, containers }
}

beforeAll(async () => {
  deployment = await openE2e()
  deployment.writeManifest(`${name}.yaml`, manifest(name))
  await waitReady(deployment, name)
  node = (await containerOf(deployment.lab, name)).node
  disk = join(instanceDirectory(deployment.lab, node, await uidOf(deployment.lab, name)), 'disks/root.qcow2')
})

afterAll(async () => {
  await removeManifests(deployment, [name])
})

describe('never two writers of one disk', () => {
  it('when a service is updated while its guest shuts down', async () => {
    const seen = await replace(async () => {
      await deployment.lab.mustDocker('n1', ['service', 'update', '--detach', '--quiet', '--force', `vm-${name}`])
    })
    expect(seen.samples).toBeGreaterThan(10)
    expect(seen.writers).toBe(1)
  })

  it('when the label that its constraints name flaps', async () => {
    const seen = await replace(async () => {
      for (let times = 0; times < 3; times += 1) {
        await deployment.lab.docker('n1', ['node', 'update', '--label-rm', 'vm-capable', node])
        await deployment.lab.docker('n1', ['node', 'update', '--label-add', 'vm-capable=true', node])
      }
    })
    expect(seen.writers).toBe(1)
  })

  it('when the service is removed and made again at once', async () => {
    const seen = await replace(async () => {
      await deployment.lab.mustDocker('n1', ['service', 'rm', `vm-${name}`])
    })
    expect(seen.writers).toBe(1)
  })

  it('when a guest that ignores its power button keeps the disk: the next runner waits and says so', async () => {
    const { pid } = await containerOf(deployment.lab, name)
    // A stopped runner turns no SIGTERM into a power-off, so the old container lives on beside its replacement.
    process.kill(pid, 'SIGSTOP')
    const watch = watchWriters(disk)
    try {
      await deployment.lab.mustDocker('n1', ['service', 'rm', `vm-${name}`])
      const seen = await waitForCondition(deployment, name, 'GuestRunning', (one) => one.reason === 'WaitingForPrevious')
      expect(conditionOf(seen, 'GuestRunning')?.message).not.toBe('')
      expect((await containersOf(deployment.lab, name)).length).toBe(2)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await waitReady(deployment, name)
    const { most, samples } = watch.stop()
    expect(samples).toBeGreaterThan(10)
    expect(most).toBe(1)
  })
})

/** A second controller at the same Swarm, as after a mistake: with other manifests of the same VM. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { VmView } from '../../src/api/wire/controller-api.ts'
import { type LoneController, loneController } from '../e2e/kill-controller/lone-controller.ts'
import {
  conditionOf,
  containerOf,
  manifest,
  openE2e,
  removeManifests,
  serviceOf,
  taskMemoryMiB,
  waitBooted,
  waitGone,
  waitReady,
} from '../e2e/support.ts'
import type { Deployment } from '../lab/deployment.ts'
import { until } from '../lab/run.ts'

const name = 'contested'
const anchor = 'contested-anchor'
const limitBytes = (memoryMiB: number): number => taskMemoryMiB(declared(`${memoryMiB}Mi`)) * 1024 ** 2
let deployment: Deployment
let second: LoneController
let manifests: string

/** An edit of it is applied at once. */
function declared(memory: string): string {
  return manifest(name, { memory }).replace('"accelerator"', '"updatePolicy": "Restart", "accelerator"')
}

beforeAll(async () => {
  deployment = await openE2e()
  const { lab } = deployment
  deployment.writeManifest(`${anchor}.yaml`, manifest(anchor, { runStrategy: 'Halted' }))
  deployment.writeManifest(`${name}.yaml`, declared('192Mi'))
  await waitReady(deployment, name)
  manifests = mkdtempSync(join(lab.node('n1').dir, 'lone-manifests-'))
  writeFileSync(join(manifests, `${anchor}.yaml`), manifest(anchor, { runStrategy: 'Halted' }))
  writeFileSync(join(manifests, `${name}.yaml`), declared('192Mi'))
  second = await loneController({ ...deployment, manifests }, lab.node('n1').dockerSocket, {}, 'beside')
})

afterAll(async () => {
  await second.giveBack()
  await deployment.lab.mustDocker('n1', ['service', 'scale', '--detach=false', 'swarmvirt_controller=1'])
  await removeManifests(deployment, [anchor, name])
  await waitGone(deployment, anchor)
  rmSync(manifests, { recursive: true })
})

async function limit(): Promise<number | undefined> {
  return (await serviceOf(deployment.lab, name))?.Spec.TaskTemplate.Resources.Limits.MemoryBytes
}

/** Waits until the first controller has made an edit, and so has the lease. */
async function firstLeads(): Promise<VmView> {
  const { facts } = await waitReady(deployment, name)
  deployment.writeManifest(`${name}.yaml`, declared('208Mi'))
  await until('the edit', 60_000, async () => ((await limit()) === limitBytes(208) ? true : undefined))
  return waitBooted(deployment, name, facts['ip'] ?? '', 2)
}

async function seenBySecond(): Promise<VmView | undefined> {
  const answer = await second.get('api', `/api/v1/vms/${name}`).catch(() => undefined)
  return answer?.status === 200 ? (JSON.parse(answer.body) as VmView) : undefined
}

it('the controller that leads restarts a VM for its edit; the other one stands by, says so, and follows when the first one is gone', async () => {
  const { lab } = deployment
  const { facts } = await firstLeads()
  const { id } = await containerOf(lab, name)
  second.start()
  const waiting = await until('the second one to stand by', 60_000, async () => {
    const seen = await seenBySecond()
    return conditionOf(seen, 'ServiceReady')?.reason === 'StandingBy' ? seen : undefined
  })
  expect(conditionOf(waiting, 'RestartRequired')?.status).toBe('Unknown')
  // Longer than a period of lists of both, and than a lease lasts that nobody renews.
  await sleep(25_000)
  expect([(await containerOf(lab, name)).id, await limit()]).toEqual([id, limitBytes(208)])
  expect(conditionOf(await seenBySecond(), 'ServiceReady')?.reason).toBe('StandingBy')

  await lab.mustDocker('n1', ['service', 'scale', '--detach=false', 'swarmvirt_controller=0'])
  await until('its own edit', 60_000, async () => ((await limit()) === limitBytes(192) ? true : undefined))
  await until('the guest’s third boot', 120_000, async () => {
    const seen = await seenBySecond()
    return seen?.facts['ip'] === facts['ip'] && conditionOf(seen, 'Ready')?.status === 'True' && (await containerOf(lab, name)).id !== id
      ? true
      : undefined
  })
})

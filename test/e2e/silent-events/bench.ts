/** A controller that hears of nothing, while people change things by hand. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { VmView } from '../../../src/api/wire/controller-api.ts'
import type { Deployment } from '../../lab/deployment.ts'
import { type DockerProxy, dockerProxy, type Watch } from '../../lab/docker-proxy.ts'
import { until } from '../../lab/run.ts'
import { clearForeign, plantForeign } from '../kill-controller/foreign.ts'
import { firstPass, type LoneController, loneController } from '../kill-controller/lone-controller.ts'
import { foreignTo, tracesOf, uidsIn } from '../kill-controller/traces.ts'
import { containerOf, manifest, type RunnerContainer, waitNoVms, waitReady } from '../support.ts'
import { declare, halted, hands, isAbsent, isHalted, late, type Repairs, running, timed } from './hands.ts'

/** The controller's own period, with which it reads everything whatever it hears. */
export const resyncMs = 10_000
/** The time that a correction itself may take: a write and its check, on a busy machine. */
export const repairMs = 5_000

export interface SilenceBench {
  readonly deployment: Deployment
  readonly proxy: DockerProxy
  /** Removes a service, changes another one, removes a constraint, edits, adds and removes a manifest; waits until all is as declared. */
  hands(): Promise<Repairs>
  /** Removes one service by hand, and waits until it is back. */
  removedAgain(): Promise<number>
  /** Problems in the cluster after `hands`: objects that are lost, doubled, restarted, or removed by mistake. */
  wrong(watch: Watch): Promise<readonly string[]>
  /** Declares again what `hands` ended. */
  anew(): Promise<void>
  log(): string
  close(): Promise<void>
}

export async function silenceBench(plain: Deployment): Promise<SilenceBench> {
  const { lab } = plain
  await waitNoVms(plain)
  const socket = join(lab.node('n1').dir, 'hush.sock')
  rmSync(socket, { force: true })
  const proxy = await dockerProxy(socket, lab.node('n1').dockerSocket)
  const controller = await loneController(plain, socket, {})
  const deployment = { ...plain, vm: (name: string) => viewOf(controller, name) }
  await plantForeign(deployment)
  controller.start()
  await firstPass(controller)
  deployment.writeManifest(`${running}.yaml`, manifest(running))
  for (const vm of halted) declare(deployment, vm, '64Mi')
  await waitReady(deployment, running)
  for (const vm of halted) await isHalted(deployment, vm)
  const container = await containerOf(lab, running)
  const foreign = await foreignTo(lab)
  const before = await remember(deployment)

  return {
    deployment,
    proxy,
    log: () => controller.log(),
    hands: () => hands(deployment),
    async removedAgain() {
      await lab.mustDocker('n1', ['service', 'rm', 'vm-hush-removed'])
      return timed('the service that was removed again', async () => (await tracesOf(lab, 'hush-removed')).services.length === 1)
    },
    wrong: (watch) => wrongIn(deployment, { watch, container, foreign, before }),
    async anew() {
      declare(deployment, 'hush-gone', '64Mi')
      declare(deployment, 'hush-edited', '64Mi')
      deployment.removeManifest(`${late}.yaml`)
      for (const vm of ['hush-gone', 'hush-edited']) await isHalted(deployment, vm)
      await timed(`${late} to go`, async () => isAbsent(deployment, late))
      await settled(deployment, before)
    },
    async close() {
      // The removal of more VMs at once would be blocked, and so would the removal of all remaining ones, so one VM goes last, alone.
      const last = 'hush-limit'
      const all = [running, late, ...halted.filter((vm) => vm !== last), last]
      for (const some of [all.slice(0, 3), all.slice(3, 6), all.slice(6)]) {
        for (const vm of some) deployment.removeManifest(`${vm}.yaml`)
        for (const vm of some) await timed(`${vm} to go`, async () => isAbsent(deployment, vm))
      }
      await controller.giveBack()
      await proxy.close()
      await clearForeign(deployment)
    },
  }
}

async function viewOf(controller: LoneController, vm: string): Promise<VmView | undefined> {
  const answer = await controller.get('api', `/api/v1/vms/${vm}`).catch(() => undefined)
  return answer?.status === 200 ? (JSON.parse(answer.body) as VmView) : undefined
}

interface Trace {
  readonly uids: string
  readonly counts: string
}
type Memory = ReadonlyMap<string, Trace>

/** The uids of each VM that stays, and the number of its objects. */
async function remember({ lab }: Deployment): Promise<Memory> {
  const seen = await Promise.all(
    [running, ...halted].map(async (vm) => {
      const traces = await tracesOf(lab, vm)
      const { services, records, held, disks } = traces
      const counts = `${services.length} services, ${records.length} records, ${held.length} nodes, ${disks.length} disks`
      return [vm, { uids: uidsIn(traces).join(), counts }] as const
    }),
  )
  return new Map(seen)
}

function differences(before: Memory, after: Memory, spared?: string): string[] {
  return [...before].flatMap(([vm, was]) => {
    const now = after.get(vm)
    return [
      ...(now?.uids === was.uids ? [] : [`the uid of ${vm} was ${was.uids} and is ${now?.uids ?? ''}`]),
      ...(now?.counts === was.counts || vm === spared ? [] : [`${vm} had ${was.counts} and has ${now?.counts ?? ''}`]),
    ]
  })
}

async function settled(deployment: Deployment, before: Memory): Promise<void> {
  await timed('what was there at first', async () => differences(before, await remember(deployment)).length === 0)
}

interface Held {
  readonly watch: Watch
  readonly container: RunnerContainer
  readonly foreign: string
  readonly before: Memory
}

async function wrongIn(deployment: Deployment, { watch, container, foreign, before }: Held): Promise<readonly string[]> {
  const { lab } = deployment
  // The next resync finds a change that this one missed.
  const found = async (): Promise<string[]> => differences(before, await remember(deployment), 'hush-gone')
  await until('', resyncMs + repairMs, async () => ((await found()).length === 0 ? true : undefined)).catch(() => undefined)
  const now = await containerOf(lab, running)
  const removed = watch.calls.filter((call) => call.startsWith('DELETE /services/'))
  const made = watch.calls.filter((call) => call === 'POST /services/create')
  return [
    ...(await found()),
    ...(now.id === container.id && now.pid === container.pid ? [] : ['the running VM was restarted']),
    ...((await foreignTo(lab)) === foreign ? [] : ['what is not ours was changed']),
    // That of hush-gone, and those of hush-removed, twice, and hush-new.
    ...(removed.length === 1 ? [] : [`${removed.length} services were removed: ${removed.join()}`]),
    ...(made.length === 3 ? [] : [`${made.length} services were made`]),
  ]
}

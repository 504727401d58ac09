/** A VM's life under a controller that is killed in the middle of each of its changes. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseVirtualMachine } from '../../../src/api/manifest.ts'
import { dockerProxy, type KillPlace, type Watch } from '../../lab/docker-proxy.ts'
import type { Deployment } from '../../lab/deployment.ts'
import { until } from '../../lab/run.ts'
import { manifest, waitNoVms } from '../support.ts'
import { clearForeign, plantForeign } from './foreign.ts'
import { firstPass, type LoneController, loneController } from './lone-controller.ts'
import { foreignTo, shapeOf, type Traces, tracesOf, uidsIn } from './traces.ts'

export const changes = ['create', 'edit', 'delete'] as const
export type Change = (typeof changes)[number]

/** The effects of a change without faults. */
export interface CleanRun {
  readonly calls: readonly string[]
  /** The objects of a controller that remain in the Swarm and on the nodes. */
  readonly end: string
  /** Types, statuses and reasons of the conditions. */
  readonly status: string
}

interface Recovery {
  /** The call at which the controller was killed; undefined where it made fewer calls than that. */
  readonly hit: string | undefined
  /** From the start of the next controller until the world is what it is without a crash. */
  readonly ms: number
}

export interface Bench {
  clean(vm: string, change: Change): Promise<CleanRun>
  /** Throws where the world does not come to the clean run's end, or an invariant is broken on the way. */
  killed(vm: string, change: Change, clean: CleanRun, call: number, place: KillPlace): Promise<Recovery>
  /** A VM that did not recover must not block the next test. */
  clear(vm: string): Promise<void>
  close(): Promise<void>
}

/**
 * 10 s are promised. A removal may also wait for the lease of the killed controller, which is free 6 s after the next one asks for it (ADR 0025).
 * Another 4 s are for a busy machine, where 16.1 s were measured. A repair by the resync takes much longer: it comes after 60 s.
 */
export const recoveryMs = 20_000
/** A change is over when nothing was written for so long. */
const quietMs = 1_500

/** Halted: no guest adds anything to the calls, and agents and disks are real nevertheless. */
function declared(vm: string, what: Change): string {
  const memory = what === 'create' ? '64Mi' : '96Mi'
  return manifest(vm, { runStrategy: 'Halted', memory, userData: `#cloud-config\n# ${memory}\n` })
}

export async function killBench(deployment: Deployment): Promise<Bench> {
  const { lab } = deployment
  await waitNoVms(deployment)
  const socket = join(lab.node('n1').dir, 'kill.sock')
  rmSync(socket, { force: true })
  const proxy = await dockerProxy(socket, lab.node('n1').dockerSocket)
  // A second resync would hide an incomplete state after a crash. The start itself must find it.
  const controller = await loneController(deployment, socket, { SWARMVIRT_RESYNC_S: '60', SWARMVIRT_REMOVAL_GRACE_S: '1' })
  await plantForeign(deployment)
  const foreign = await foreignTo(lab)
  controller.start()
  await firstPass(controller)

  function change(vm: string, what: Change): void {
    if (what === 'delete') deployment.removeManifest(`${vm}.yaml`)
    else deployment.writeManifest(`${vm}.yaml`, declared(vm, what))
  }

  async function endOf(vm: string): Promise<string> {
    return JSON.stringify(shapeOf(await tracesOf(lab, vm), vm), null, 1)
  }

  return {
    async clean(vm, what) {
      const watch = proxy.watch()
      change(vm, what)
      await over(vm, what, watch)
      const status = await statusOf(controller, vm)
      return { calls: [...watch.calls], end: await endOf(vm), status }
    },
    async killed(vm, what, clean, call, place) {
      const before = uidsIn(await tracesOf(lab, vm))
      const watch = proxy.watch({ call, place, kill: () => controller.kill() })
      change(vm, what)
      await Promise.race([controller.ended(), over(vm, what, watch)])
      const hit = watch.hit()
      if (hit !== undefined) {
        await controller.ended()
        controller.start()
      }
      const started = performance.now()
      const found = await converged(vm, clean.end)
      const ms = performance.now() - started
      const uids = uidsIn(await tracesOf(lab, vm))
      const wrong = [
        ...(found === clean.end
          ? []
          : [`${recoveryMs / 1000} s after the restart it is\n${found}\nand without a crash\n${clean.end}\n${controller.log()}`]),
        ...(uids.length === 1 && before.every((uid) => uid === uids[0]) ? [] : [`the uid was ${before.join()} and is ${uids.join()}`]),
        ...((await foreignTo(lab)) === foreign ? [] : ['what is not ours was changed']),
      ]
      if (wrong.length > 0) throw new Error(`${what}, killed ${place} call ${call} (${hit ?? 'not reached'}): ${wrong.join('; ')}`)
      await firstPass(controller)
      // A removed VM is forgotten sooner or later.
      if (what !== 'delete') {
        let status = ''
        const isSo = async (): Promise<true | undefined> => ((status = await statusOf(controller, vm)) === clean.status ? true : undefined)
        await until(`the conditions of ${vm}`, 15_000, isSo, 200).catch((error: unknown) => {
          throw new Error(
            `${what}, killed ${place} call ${call} (${hit ?? 'not reached'}): its conditions are\n${status}\n${controller.log()}`,
            {
              cause: error,
            },
          )
        })
      }
      return { hit, ms }
    },
    async clear(vm) {
      proxy.watch()
      deployment.removeManifest(`${vm}.yaml`)
      await until(`${vm} to go`, 60_000, async () => (isOver(await tracesOf(lab, vm), vm, 'delete') ? true : undefined), 200)
    },
    async close() {
      await controller.giveBack()
      await proxy.close()
      await clearForeign(deployment)
    },
  }

  async function over(vm: string, what: Change, watch: Watch): Promise<void> {
    await until(`${what} of ${vm}`, 60_000, async () => (isOver(await tracesOf(lab, vm), vm, what) ? true : undefined), 100)
    await quiet(watch)
  }

  /** The end that was waited for, or what there was instead when the time was over. */
  async function converged(vm: string, end: string): Promise<string> {
    let found = ''
    const reached = until('', recoveryMs, async () => ((found = await endOf(vm)) === end ? found : undefined), 50)
    return reached.catch(() => found)
  }
}

function generationOf(vm: string, what: Change): string {
  const parsed = parseVirtualMachine(JSON.parse(declared(vm, what)))
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  return parsed.generation
}

/** Structure alone; the clean run is what everything else is compared with. */
function isOver(traces: Traces, vm: string, what: Change): boolean {
  const [service] = traces.services
  if (what === 'delete') return service === undefined && traces.configs.length + traces.secrets.length === 0
  return service !== undefined && traces.held.length === 1 && service.Spec.Labels?.['swarmvirt.generation'] === generationOf(vm, what)
}

async function quiet(watch: Watch): Promise<void> {
  const writes = (): number => watch.calls.filter((call) => !call.startsWith('GET')).length
  for (let before = -1; before !== writes(); ) {
    before = writes()
    await new Promise((resolve) => setTimeout(resolve, quietMs))
  }
}

/** Types, statuses and reasons of the conditions. */
async function statusOf(controller: LoneController, vm: string): Promise<string> {
  const answer = await controller.get('api', `/api/v1/vms/${vm}`).catch(() => undefined)
  if (answer?.status !== 200) return String(answer?.status ?? 'no answer')
  const view = JSON.parse(answer.body) as { conditions: { type: string; status: string; reason: string }[] }
  return view.conditions
    .map(({ type, status, reason }) => `${type}=${status} ${reason}`)
    .toSorted()
    .join('\n')
}

import * as z from 'zod/mini'
import { acceleratorInUse, cleanText, containerField, textField, uidField } from './common.ts'

/**
 * Agent–runner, over `instances/<uid>/run/control.sock` (frames.ts). The runner speaks first, with its uid: the agent sends nothing to a
 * socket that does not name the VM it meant, since the runner can put what it likes in that directory. Then requests with an `id`.
 */
export const runnerControlVersion = 1

export const runnerHello = z.object({
  type: z.literal('hello'),
  protocol: z.literal('swarmvirt.runner-control'),
  version: z.int(),
  uid: uidField,
})

const id = z.int().check(z.minimum(0))

export const runnerRequest = z.discriminatedUnion('type', [
  z.object({ type: z.literal('status'), id }),
  /** ACPI power button; the runner ends the guest by force after its grace period. `off` makes it stay off until the task is replaced. */
  z.object({ type: z.literal('powerOff'), id }),
])

const runnerPhase = z.enum([
  'Starting',
  'WaitingForBroker',
  'WaitingForPrevious',
  'WaitingForGrant',
  'CrashBackoff',
  'Booting',
  'Running',
  'ShuttingDown',
  'Stopped',
])
export type RunnerPhase = z.output<typeof runnerPhase>

export const runnerStatus = z.object({
  uid: uidField,
  phase: runnerPhase,
  message: textField,
  /** What QEMU runs with; null while there is no QEMU. */
  accelerator: z.nullable(acceleratorInUse),
  /** QEMU's own word over QMP (`running`, `paused`, `shutdown` …); null while there is none. */
  qemuStatus: z.nullable(cleanText(64)),
  /** Hash of the launch config in use. */
  launchHash: cleanText(64),
  release: cleanText(64),
  /** RFC 3339. */
  startedAt: cleanText(40),
  /** Of the container it runs in (common.ts), so that nobody takes a predecessor for the task that Swarm runs now. Release 0.1 does not say it. */
  container: z.optional(containerField),
  /** RFC 3339: when its guest began to run. Absent before that, and from release 0.1. */
  bootedAt: z.optional(cleanText(40)),
  restarts: z.int().check(z.minimum(0)),
  /** From the runner's own /proc/self/status: what Swarm really gave, not what was asked for. */
  hardening: z.object({ uid: z.int(), capEff: cleanText(32), capBnd: cleanText(32), noNewPrivs: z.boolean(), seccomp: z.int() }),
})
export type RunnerStatus = z.output<typeof runnerStatus>

export const runnerResponse = z.discriminatedUnion('type', [
  z.object({ type: z.literal('status'), id, status: runnerStatus }),
  z.object({ type: z.literal('ok'), id }),
  z.object({ type: z.literal('error'), id: z.nullable(id), message: textField }),
])
export type RunnerResponse = z.output<typeof runnerResponse>

import * as z from 'zod/mini'
import { acceleratorInUse, cleanText, containerField, textField } from './common.ts'
import { guestAgentStatus, guestCommand } from './guest-agent.ts'
import { uidField } from '../names.ts'
import { finishedRun } from './run-policy.ts'

/**
 * Agent–runner, over `instances/<uid>/run/control.sock` (frames.ts). The runner sends its `hello` with its uid first. The agent sends
 * nothing to a socket with another uid, because a runner can create any socket in that directory. After that come requests with an `id`.
 */
export const runnerControlVersion = 1

export const runnerHello = z.object({
  type: z.literal('hello'),
  protocol: z.literal('swarmvirt.runner-control'),
  version: z.int(),
  uid: uidField,
})

const id = z.int().check(z.minimum(0))

/** Without an effect on the task: the guest keeps its QEMU. */
export const guestControl = z.enum(['pause', 'unpause', 'reset'])
export type GuestControl = z.output<typeof guestControl>

export const runnerRequest = z.discriminatedUnion('type', [
  z.object({ type: z.literal('status'), id }),
  /** Presses the ACPI power button. The runner kills the guest after its grace period and stays off until the task is replaced. */
  z.object({ type: z.literal('powerOff'), id }),
  /** Whether the guest accepts a TCP connection to a forwarded port. A runner of release 0.1 answers `error`. */
  z.object({ type: z.literal('guestPort'), id, port: z.int(), timeoutMs: z.int().check(z.minimum(10), z.maximum(10_000)) }),
  /** A runner of release 0.1 answers `error`. */
  z.object({ type: z.literal('control'), id, action: guestControl }),
  /** Runs a program in the guest through its agent. A runner of release 0.1 answers `error`. */
  z.object({ type: z.literal('guestExec'), id, command: guestCommand, timeoutMs: z.int().check(z.minimum(10), z.maximum(10_000)) }),
  /** Brings the running QEMU to `live.json` and `identity.json`. A runner of release 0.1 answers with an error. */
  z.object({ type: z.literal('live'), id }),
])

export type RunnerRequest = z.output<typeof runnerRequest>

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
  /** The state in the runner's own words (runner/state-machine.ts): more than a `phase` of release 0.1 can say. Absent from it. */
  state: z.optional(cleanText(64)),
  /** Absent from release 0.1, whose guests have no agent channel. */
  guestAgent: z.optional(guestAgentStatus),
  /** Absent while the guest may run, and from release 0.1. */
  finished: z.optional(finishedRun),
  /** The accelerator that QEMU uses; null while there is no QEMU. */
  accelerator: z.nullable(acceleratorInUse),
  /** QEMU's status in QMP (`running`, `paused`, `shutdown` …); null while there is no QEMU. */
  qemuStatus: z.nullable(cleanText(64)),
  /** Hash of the launch config in use. */
  launchHash: cleanText(64),
  release: cleanText(64),
  /** RFC 3339. */
  startedAt: cleanText(40),
  /** The runner's container (common.ts), which distinguishes it from the runner of the previous task. Absent from release 0.1. */
  container: z.optional(containerField),
  /** RFC 3339 time at which its guest began to run. Absent before that, and from release 0.1. */
  bootedAt: z.optional(cleanText(40)),
  /** The relay of the ports of NICs behind NAT: why some are closed; empty if all are open. Absent without such a NIC, and from release 0.1. */
  relay: z.optional(z.object({ problem: textField })),
  /** RFC 3339 time at which the watchdog of this guest fired last. Absent if it did not, and from release 0.1. */
  watchdogFiredAt: z.optional(cleanText(40)),
  /** Statistics of the balloon, as the guest reports them. Absent without its driver, and from release 0.1. */
  memory: z.optional(z.object({ targetBytes: z.int(), totalBytes: z.optional(z.int()), availableBytes: z.optional(z.int()) })),
  restarts: z.int().check(z.minimum(0)),
  /** From the runner's own /proc/self/status: the restrictions that Swarm really applied. */
  hardening: z.object({ uid: z.int(), capEff: cleanText(32), capBnd: cleanText(32), noNewPrivs: z.boolean(), seccomp: z.int() }),
})
export type RunnerStatus = z.output<typeof runnerStatus>

/** `silent`: no answer in time. `notForwarded`: the guest runs without this port, or not at all. */
const guestPortState = z.enum(['accepts', 'refuses', 'silent', 'notForwarded'])
export type GuestPortState = z.output<typeof guestPortState>
const execOutcome = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('exited'), code: z.int() }),
  /** The agent refused, or the program did not end in time. */
  z.object({ kind: z.literal('failed'), message: textField }),
  z.object({ kind: z.literal('noAgent'), message: textField }),
])
export type ExecOutcome = z.output<typeof execOutcome>

export const runnerResponse = z.discriminatedUnion('type', [
  z.object({ type: z.literal('status'), id, status: runnerStatus }),
  z.object({ type: z.literal('ok'), id }),
  z.object({ type: z.literal('guestPort'), id, state: guestPortState }),
  z.object({ type: z.literal('guestExec'), id, outcome: execOutcome }),
  /** The edits that the guest does not have, with their reasons; empty if it has all, or if there is no QEMU. */
  z.object({ type: z.literal('live'), id, problems: z.array(textField).check(z.maxLength(64)) }),
  z.object({ type: z.literal('error'), id: z.nullable(id), message: textField }),
])
export type RunnerResponse = z.output<typeof runnerResponse>

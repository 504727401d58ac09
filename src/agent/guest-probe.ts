import type { GuestAgentProbe, ProbeOutcome } from '../api/wire/agent-api.ts'
import type { ExecOutcome, RunnerStatus } from '../api/wire/runner-control.ts'
import type { Runners } from '../ports/runners.ts'

/**
 * Probes that the VM's own runner answers, through the agent in the guest. They say that the guest's system works,
 * and nothing about its network. Throws PortError if the runner does not answer.
 */
export async function guestProbe(
  { kind, uid, command, timeoutMs }: GuestAgentProbe,
  runners: Pick<Runners, 'status' | 'exec'>,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  if (kind === 'exec' && command === undefined) return unknown('ProbeFailed', 'an exec probe needs a command')
  const status = await runners.status(uid, signal)
  if (status.guestAgent === undefined) return unknown('RunnerOutdated', 'the VM runs with a runner of an earlier release: restart the VM')
  if (command === undefined) return judgeAgent(status.guestAgent)
  if (!status.guestAgent.connected) return noAgent()
  return judgeExec(await runners.exec(uid, { command, timeoutMs }, signal), command[0] ?? '')
}

function judgeAgent({ connected, version }: NonNullable<RunnerStatus['guestAgent']>): ProbeOutcome {
  return connected ? found('reached', 'GuestAgentAnswered', `qemu-guest-agent ${version ?? 'of an unknown version'} answers`) : noAgent()
}

function judgeExec(outcome: ExecOutcome, program: string): ProbeOutcome {
  switch (outcome.kind) {
    case 'exited':
      return outcome.code === 0
        ? found('reached', 'CommandSucceeded', `${program} ended with exit code 0`)
        : found('unreached', 'CommandFailed', `${program} ended with exit code ${outcome.code}`)
    case 'failed':
      return found('unreached', 'CommandFailed', `${program}: ${outcome.message}`)
    case 'noAgent':
      return noAgent()
  }
}

function noAgent(): ProbeOutcome {
  return found('unreached', 'NoGuestAgent', 'no qemu-guest-agent answers in the guest: install and start it there')
}

function found(outcome: ProbeOutcome['outcome'], reason: string, message: string): ProbeOutcome {
  return { outcome, reason, message: message.slice(0, 2_000), mac: null, rttMs: null }
}

function unknown(reason: string, message: string): ProbeOutcome {
  return found('unknown', reason, message)
}

import { probeExitCode } from './payload.ts'

/** One run of QEMU with the probe's disk: how it ended, or that it had to be killed, and how long that took. */
export type ProbeRun = ({ exitCode: number | null } | { timedOut: true }) & {
  ms: number
  /** The end of what QEMU said on standard error, for the message. */
  stderr?: string
}

export type KvmFailure = 'KvmHangs' | 'KvmSlow' | 'KvmFails' | 'ProbeBroken'
export type KvmJudgement = { works: true } | { works: false; reason: KvmFailure; message: string }

/** The longest that a run under KVM may take: a kill after this long is a hang. Real KVM needs a tenth of it. */
export const kvmTimeoutMs = 2_000
/** Emulation on a busy host may take longer, and says nothing about KVM. */
export const tcgTimeoutMs = 10_000
/** KVM that takes so many times as long as emulation is itself emulated, and no guest gets anywhere under it. */
const slowFactor = 5
/**
 * A run under TCG takes some 80 ms on an idle machine, nearly all of it QEMU's start, which KVM has as well and with more to set
 * up. Five times that would condemn a healthy KVM for one busy moment; a floor of 200 ms lets it have a second in any case.
 * KVM that was seen to be emulated took 3.5 s at the least.
 */
const tcgFloorMs = 200

/** KVM works when the probe's guest ends under it as it does under TCG, within 2 s, and within 5 times TCG's time. */
export function judgeKvm({ tcg, kvm }: { tcg: ProbeRun; kvm: ProbeRun }): KvmJudgement {
  if (!endedRight(tcg)) {
    return failed(
      'ProbeBroken',
      `nothing can be said of KVM: the probe's guest ${howItEnded(tcg)} under TCG, where it ends everywhere`,
      tcg,
    )
  }
  if ('timedOut' in kvm) {
    return failed('KvmHangs', `the probe's guest did not end within ${kvm.ms} ms under KVM; under TCG it took ${tcg.ms} ms`, kvm)
  }
  if (!endedRight(kvm)) {
    return failed('KvmFails', `the probe's guest ${howItEnded(kvm)} under KVM; under TCG it ran to its end`, kvm)
  }
  const limitMs = Math.min(kvmTimeoutMs, slowFactor * Math.max(tcg.ms, tcgFloorMs))
  if (kvm.ms > limitMs) {
    return failed(
      'KvmSlow',
      `the probe's guest took ${kvm.ms} ms under KVM, where ${limitMs} ms are allowed; under TCG it took ${tcg.ms} ms`,
      kvm,
    )
  }
  return { works: true }
}

function endedRight(run: ProbeRun): boolean {
  return 'exitCode' in run && run.exitCode === probeExitCode
}

function howItEnded(run: ProbeRun): string {
  if ('timedOut' in run) return `did not end within ${run.ms} ms`
  if (run.exitCode === null) return 'was ended by a signal'
  return `ended with code ${run.exitCode} and not ${probeExitCode}`
}

function failed(reason: KvmFailure, message: string, { stderr = '' }: ProbeRun): KvmJudgement {
  const said = notableLine(stderr)
  return { works: false, reason, message: said === '' ? message : `${message}. QEMU said: ${said}` }
}

/** QEMU warns of missing features first and dumps all registers last: the line between is the cause. */
function notableLine(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line !== '' && !line.includes('warning:'))
  return (lines.find((line) => line.startsWith('KVM internal error')) ?? lines[0] ?? '').slice(0, 300)
}

import { probeExitCode } from './payload.ts'

/** One QEMU run with the probe's disk: how it ended or whether it was killed, and its duration. */
export type ProbeRun = ({ exitCode: number | null } | { timedOut: true }) & {
  ms: number
  /** The end of QEMU's standard error, for the message. */
  stderr?: string
}

export type KvmFailure = 'KvmHangs' | 'KvmSlow' | 'KvmFails' | 'ProbeBroken'
export type KvmJudgement = { works: true } | { works: false; reason: KvmFailure; message: string }

/** A run under KVM that takes longer counts as a hang. Working KVM needs a tenth of this time. */
export const kvmTimeoutMs = 2_000
/** Emulation on a busy host may take longer, and says nothing about KVM. */
export const tcgTimeoutMs = 10_000
/** KVM that takes this many times as long as emulation is itself emulated, and too slow for a guest. */
const slowFactor = 5
/**
 * A TCG run takes about 80 ms on an idle machine. Most of that is QEMU's start, which is longer with KVM. A floor of 200 ms allows KVM one second, so
 * that one busy moment does not fail a healthy KVM. Emulated KVM was measured at 3.5 s or more.
 */
const tcgFloorMs = 200

/** KVM works if the probe's guest ends the same way as under TCG, within 2 s and within 5 times TCG's time. */
export function judgeKvm({ tcg, kvm }: { tcg: ProbeRun; kvm: ProbeRun }): KvmJudgement {
  if (!endedRight(tcg)) {
    return failed('ProbeBroken', `the KVM probe is inconclusive: its guest ${howItEnded(tcg)} under TCG, which should always work`, tcg)
  }
  if ('timedOut' in kvm) {
    return failed('KvmHangs', `the probe's guest did not end within ${kvm.ms} ms under KVM; under TCG it took ${tcg.ms} ms`, kvm)
  }
  if (!endedRight(kvm)) {
    return failed('KvmFails', `the probe's guest ${howItEnded(kvm)} under KVM; under TCG it finished`, kvm)
  }
  const limitMs = Math.min(kvmTimeoutMs, slowFactor * Math.max(tcg.ms, tcgFloorMs))
  if (kvm.ms > limitMs) {
    return failed('KvmSlow', `the probe's guest took ${kvm.ms} ms under KVM (limit: ${limitMs} ms); under TCG it took ${tcg.ms} ms`, kvm)
  }
  return { works: true }
}

function endedRight(run: ProbeRun): boolean {
  return 'exitCode' in run && run.exitCode === probeExitCode
}

function howItEnded(run: ProbeRun): string {
  if ('timedOut' in run) return `did not end within ${run.ms} ms`
  if (run.exitCode === null) return 'was ended by a signal'
  return `ended with code ${run.exitCode} instead of ${probeExitCode}`
}

function failed(reason: KvmFailure, message: string, { stderr = '' }: ProbeRun): KvmJudgement {
  const said = notableLine(stderr)
  return { works: false, reason, message: said === '' ? message : `${message}. QEMU reported: ${said}` }
}

/** QEMU prints warnings about features first and all registers last. The line between them is the cause. */
function notableLine(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line !== '' && !line.includes('warning:'))
  return (lines.find((line) => line.startsWith('KVM internal error')) ?? lines[0] ?? '').slice(0, 300)
}

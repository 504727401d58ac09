import type { ChildProcesses } from '../../ports/child-process.ts'
import type { Clock } from '../../ports/clock.ts'
import type { ProbeRuns } from '../kvm-prober.ts'
import { type ProbeAccelerator, probeArguments } from './command.ts'
import { judgeKvm, kvmTimeoutMs, type ProbeRun, tcgTimeoutMs } from './judge.ts'
import { probeExitCode } from './payload.ts'

/** Lower than the VMs, yet high enough that a host full of busy VMs does not make healthy KVM look hung: a third of their weight each. */
const niceness = '5'
const nice = '/usr/bin/nice'
const maxOutputBytes = 4096
/** Without other channels, the first passed descriptor is number 3 in the child. */
const kvmFdInChild = 3

export interface QemuRunsOptions {
  /** Path or name of qemu-system-x86_64. */
  readonly qemu: string
  /** Returns the path of the file with `kvmProbeImage()`, and creates it if missing. */
  readonly image: () => string
  /** The VMs' machine type. */
  readonly machine: string
  readonly children: ChildProcesses
  readonly clock: Clock
}

/** Runs the probe with the VMs' QEMU. Rejects if QEMU cannot be started. Kills a run that exceeds its time limit. */
export function qemuRuns(options: QemuRunsOptions): ProbeRuns<ProbeRun> {
  const run = (accelerator: ProbeAccelerator, fds: readonly number[], timeoutMs: number, signal: AbortSignal) =>
    runOnce(options, accelerator, fds, timeoutMs, signal)
  return {
    tcg: (signal) => run({ kind: 'tcg' }, [], tcgTimeoutMs, signal),
    kvm: (fd, signal) => run({ kind: 'kvm', fd: kvmFdInChild }, [fd], kvmTimeoutMs, signal),
    judgeTcg: judgeTcgRun,
    judgeKvm(tcg, kvm) {
      const judgement = judgeKvm({ tcg, kvm })
      if (judgement.works) return { verdict: 'works', reason: '', message: '' }
      return {
        verdict: judgement.reason === 'ProbeBroken' ? 'inconclusive' : 'unusable',
        reason: judgement.reason,
        message: judgement.message,
      }
    },
  }
}

function judgeTcgRun(run: ProbeRun): { works: boolean; message: string } {
  if ('timedOut' in run) return { works: false, message: `the probe's guest did not end within ${run.ms} ms under TCG` }
  if (run.exitCode === probeExitCode) return { works: true, message: '' }
  return { works: false, message: `QEMU ended with code ${run.exitCode} under TCG: ${(run.stderr ?? '').trim().slice(0, 500)}` }
}

async function runOnce(
  options: QemuRunsOptions,
  accelerator: ProbeAccelerator,
  fds: readonly number[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ProbeRun> {
  const { clock } = options
  const args = probeArguments({ accelerator, image: options.image(), machine: options.machine })
  const started = clock.elapsed()
  let stderr = ''
  const onOutput = (bytes: Uint8Array): void => {
    if (stderr.length < maxOutputBytes) stderr += new TextDecoder().decode(bytes)
  }
  const child = await options.children.spawn(nice, ['-n', niceness, options.qemu, ...args], { channels: 0, fds, onOutput })
  let timedOut = false
  const cancel = clock.after(timeoutMs, () => {
    timedOut = true
    child.kill('SIGKILL')
  })
  const cut = (): void => child.kill('SIGKILL')
  signal.addEventListener('abort', cut, { once: true })
  const end = await child.ended
  cancel()
  signal.removeEventListener('abort', cut)
  const ms = clock.elapsed() - started
  if (timedOut) return { timedOut, ms, stderr }
  return { exitCode: end.kind === 'exited' ? end.code : null, ms, stderr }
}

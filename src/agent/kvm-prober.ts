import type { NodeFacts } from '../api/wire/agent-api.ts'
import type { BrokerFacts } from '../api/wire/broker-admin.ts'
import type { Clock } from '../ports/clock.ts'
import { sleep } from '../api/time.ts'
import type { Log } from '../ports/log.ts'
import { BrokerRefusal } from './broker-link.ts'

type KvmFact = NodeFacts['kvm']
type TcgFact = NodeFacts['tcg']
/** `inconclusive`: the run says nothing about KVM, since emulation failed as well. */
export type ProbeVerdict = { readonly verdict: 'works' | 'unusable' | 'inconclusive' } & Pick<KvmFact, 'reason' | 'message'>

/** KVM support rarely changes. A change of the device facts starts a probe at once. */
const repeatMs = 600_000
/** Retry interval while the broker is away (its hello starts a probe) or a verdict needs confirmation. Long enough for a burst of load to pass. */
const retryMs = 20_000
const brokerTimeoutMs = 5_000
/** Number of failed runs in a row before working KVM counts as unusable. One slow run on a busy host is not enough. */
const confirmations = 3

/** QEMU runs. Each ends on its own or is killed after its time limit. */
export interface ProbeRuns<Run> {
  tcg(signal: AbortSignal): Promise<Run>
  kvm(fd: number, signal: AbortSignal): Promise<Run>
  judgeTcg(tcg: Run): TcgFact
  judgeKvm(tcg: Run, kvm: Run): ProbeVerdict
}

export interface KvmProberOptions<Run> {
  readonly runs: ProbeRuns<Run>
  /** Throws BrokerRefusal or PortError. */
  readonly openKvm: (timeoutMs: number) => Promise<number>
  readonly closeFd: (fd: number) => void
  readonly clock: Clock
  readonly log: Log
}

export interface KvmProber {
  kvm(): KvmFact
  tcg(): TcgFact
  /** Receives the broker's current fact about /dev/kvm. A changed fact starts a probe. */
  notice(device: BrokerFacts['devices']['kvm']): void
  /** Probes soon, because the broker is back. */
  kick(): void
  /** Probes until the signal is aborted; never rejects. */
  run(signal: AbortSignal): Promise<void>
}

/** Finds out whether KVM works on this node by running a guest. Neither the device, ioctls nor real-mode code prove it. */
export function kvmProber<Run>(options: KvmProberOptions<Run>): KvmProber {
  const { clock, log } = options
  let kvm: KvmFact = { state: 'pending', reason: '', message: 'QEMU has not been probed yet' }
  let tcg: TcgFact = { works: false, message: 'QEMU has not been probed yet' }
  let device: string | undefined
  let kvmDoubts = 0
  let tcgDoubts = 0
  let kicked = false
  let wake: () => void = () => undefined

  function settleTcg(next: TcgFact): void {
    tcgDoubts = tcg.works && !next.works ? tcgDoubts + 1 : 0
    if (tcgDoubts === 0 || tcgDoubts >= confirmations) tcg = next
  }

  function settleKvm(next: KvmFact): void {
    kvmDoubts = kvm.state === 'works' && next.state !== 'works' ? kvmDoubts + 1 : 0
    if (kvmDoubts > 0 && kvmDoubts < confirmations) return
    kvmDoubts = 0
    if (next.state !== kvm.state || next.reason !== kvm.reason)
      log.info({ state: next.state, reason: next.reason, detail: next.message }, 'Probed KVM')
    kvm = next
  }

  function settleVerdict({ verdict, reason, message }: ProbeVerdict): 'done' | 'again' {
    // The earlier verdict outweighs an inconclusive run.
    if (verdict === 'inconclusive' && kvm.state !== 'pending') return 'again'
    settleKvm({ state: verdict === 'works' ? 'works' : 'unusable', reason, message: message.slice(0, 2000) })
    return verdict === 'inconclusive' || kvmDoubts > 0 || tcgDoubts > 0 ? 'again' : 'done'
  }

  async function probeOnce(signal: AbortSignal): Promise<'done' | 'again'> {
    const baseline = await options.runs.tcg(signal)
    settleTcg(options.runs.judgeTcg(baseline))
    kicked = false
    let fd: number
    try {
      fd = await options.openKvm(brokerTimeoutMs)
    } catch (error) {
      return withoutDevice(error)
    }
    try {
      return settleVerdict(options.runs.judgeKvm(baseline, await options.runs.kvm(fd, signal)))
    } finally {
      options.closeFd(fd)
    }
  }

  function withoutDevice(error: unknown): 'done' | 'again' {
    if (error instanceof BrokerRefusal) {
      return settleVerdict({ verdict: 'unusable', reason: error.reason, message: error.message })
    }
    // The last verdict stays while the broker is away.
    if (kvm.state === 'pending') kvm = { ...kvm, message: `KVM cannot be probed: ${(error as Error).message}` }
    return 'again'
  }

  async function pause(ms: number, signal: AbortSignal): Promise<void> {
    if (kicked) return
    const early = new AbortController()
    wake = () => early.abort()
    await sleep(clock, ms, AbortSignal.any([signal, early.signal])).catch(() => undefined)
    wake = () => undefined
  }

  /** QEMU could not be started. */
  function failedRun(error: Error): 'again' {
    log.error({ error: error.message }, 'The KVM probe failed')
    settleTcg({ works: false, message: error.message })
    if (kvm.state === 'pending') kvm = { ...kvm, message: `KVM cannot be probed: ${error.message}` }
    return 'again'
  }

  function kick(): void {
    kicked = true
    wake()
  }

  return {
    kvm: () => kvm,
    tcg: () => tcg,
    notice({ present, opens }) {
      const now = `${present}/${opens}`
      if (device !== undefined && device !== now) kick()
      device = now
    },
    kick,
    async run(signal) {
      while (!signal.aborted) {
        const outcome = await probeOnce(signal).catch((error: unknown) => (signal.aborted ? 'again' : failedRun(error as Error)))
        await pause(outcome === 'done' ? repeatMs : retryMs, signal)
      }
    },
  }
}

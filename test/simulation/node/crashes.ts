import type { VmUid } from '../../../src/api/names.ts'
import { exitCodes, isCrash, type ExitName } from '../../../runner/exit-codes.ts'
import type { Container } from './container.ts'

/** After this long a run was good (runner/crash-record.ts). */
const goodRunMs = 600_000
const longestDelayMs = 60_000

/** How often each VM crashed in a row, as nobody but the test can know it, and so when it may be started again. */
export class Crashes {
  readonly #byUid = new Map<VmUid, { readonly failures: number; readonly atMs: number }>()

  ended({ uid, qemu, machine }: Container, exitCode: number, nowMs: number): void {
    const name = (Object.keys(exitCodes) as ExitName[]).find((one) => exitCodes[one] === exitCode)
    // The next runner does not know a crash that could not be written.
    if (name === undefined || !isCrash(name) || machine.disk.full) return
    const ranMs = qemu?.ranSinceMs === undefined ? 0 : nowMs - qemu.ranSinceMs
    const before = this.#byUid.get(uid)?.failures ?? 0
    this.#byUid.set(uid, { failures: ranMs >= goodRunMs ? 1 : before + 1, atMs: nowMs })
  }

  /** When the wait after the last crash is over. */
  dueMs(uid: VmUid): number {
    const last = this.#byUid.get(uid)
    return last === undefined
      ? Number.NEGATIVE_INFINITY
      : last.atMs + Math.min(longestDelayMs, 1_000 * 2 ** Math.min(last.failures - 1, 10))
  }
}

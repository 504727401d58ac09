import type { Clock } from '../../../src/ports/clock.ts'
import { StateError } from '../../../src/ports/state-files.ts'
import type { Fault, StepFaultKind } from '../faults.ts'
import type { SeededRandom } from '../seeded-random.ts'
import { Process } from './process.ts'

export interface StepsPorts {
  readonly time: Clock
  readonly random: SeededRandom
  readonly faults: readonly Fault[]
  /** A fault took hold, whose consequences last that long. */
  readonly onFault: (untilMs: number) => void
  readonly trace: (line: string) => void
}

/** Longest that a step takes on a busy disk. */
const slowMs = 12_000
/** A program that was killed is there again soon; an image that did not arrive for want of room is tried again after half a minute (image-setback.ts). */
const lastsMs: Readonly<Record<StepFaultKind, number>> = {
  'kill-before': 5_000,
  'kill-after': 5_000,
  'no-space': 35_000,
  'io-error': 35_000,
  slow: slowMs,
}

/**
 * The steps of all agents, numbered: each touches a file or runs a tool. A fault names one, and kills the agent around it, has it fail, or lets it
 * take long.
 */
export class Steps {
  count = 0
  readonly #ports: StepsPorts
  readonly #faults: ReadonlyMap<number, StepFaultKind>

  constructor(ports: StepsPorts) {
    this.#ports = ports
    this.#faults = new Map(ports.faults.flatMap((one) => (one.kind === 'step' ? [[one.step, one.what] as const] : [])))
  }

  /** Never settles where the process has ended, or ends in it. */
  async take<T>(process: Process, what: string, writes: boolean, run: () => T | Promise<T>): Promise<T> {
    if (!process.alive) return Process.never()
    this.count += 1
    const fault = this.#faults.get(this.count)
    if (fault !== undefined) return this.#faulty(process, what, writes, fault, run)
    const value = await run()
    return process.alive ? value : Process.never()
  }

  async #faulty<T>(process: Process, what: string, writes: boolean, fault: StepFaultKind, run: () => T | Promise<T>): Promise<T> {
    const { time, trace, onFault } = this.#ports
    trace(`fault at step ${this.count} of ${process.name}, ${what}: ${fault}`)
    onFault(time.now() + lastsMs[fault])
    switch (fault) {
      case 'kill-before':
        process.end()
        return Process.never()
      case 'kill-after':
        // The step is applied, but its result is lost.
        await run()
        process.end()
        return Process.never()
      case 'no-space':
        throw new StateError(writes ? 'NoSpace' : 'Io', `no space is left for ${what}`)
      case 'io-error':
        throw new StateError('Io', `EIO: i/o error, ${what}`)
      case 'slow':
        await new Promise<void>((resolve) => process.clock.after(this.#ports.random.int(2_000, slowMs), resolve))
        return run()
      default:
        return fault satisfies never
    }
  }
}

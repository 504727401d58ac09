import * as z from 'zod/mini'
import type { ChildProcesses } from '../src/ports/child-process.ts'
import type { Log } from '../src/ports/log.ts'
import type { RunnerFiles } from '../src/ports/runner-files.ts'
import type { DiskInput } from './devices/inputs.ts'

/** The end of `qemu-img check --output=json` (docs/tools/qemu-img). Other keys are not read. */
const report = z.object({ corruptions: z.optional(z.int()), 'check-errors': z.optional(z.int()), 'leaks-fixed': z.optional(z.int()) })
/** Its report has some hundred bytes. */
const longestReport = 64 * 1024

export type DiskFinding =
  | { readonly kind: 'fine'; readonly repairedLeaks: number }
  /** Clusters that nothing uses, and no other fault. */
  | { readonly kind: 'leaking' }
  /** Nothing is repaired that could lose data. */
  | { readonly kind: 'corrupt'; readonly corruptions: number }
  | { readonly kind: 'unknown'; readonly message: string }

/** Pure. `qemu-img check` ends with 0 (fine, or leaks repaired), 2 (corrupt), 3 (leaks only), or 1 (no check was possible). */
export function judgeCheck(code: number | undefined, output: string): DiskFinding {
  const found = report.safeParse(parsed(output)).data
  const corruptions = (found?.corruptions ?? 0) + (found?.['check-errors'] ?? 0)
  if (code === 2 || corruptions > 0) return { kind: 'corrupt', corruptions }
  if (code === 3) return { kind: 'leaking' }
  if (code === 0 && found !== undefined) return { kind: 'fine', repairedLeaks: found['leaks-fixed'] ?? 0 }
  return { kind: 'unknown', message: output.trim().slice(-500) || `qemu-img ended with ${code ?? 'a signal'}` }
}

export interface DiskCheckDeps {
  readonly processes: ChildProcesses
  readonly files: Pick<RunnerFiles, 'readText' | 'replaceText'>
  readonly qemuImg: string
  /** Says whether a QEMU had the disks open that did not close them. */
  readonly markPath: string
  readonly log: Log
}

/** Whether the disks were closed in order: `run/disks.json`. */
const mark = { open: '{"version":1,"open":true}\n', closed: '{"version":1,"open":false}\n' } as const

/**
 * Checks disks whose QEMU was killed, or lost its power. Leaks are repaired, because they only waste space. A disk that is corrupt is not touched,
 * and not given to a guest, which would make it worse. So the first check repairs nothing: behind a damaged table, data looks like a leak, and a
 * repair would discard it.
 */
export class DiskCheck {
  readonly #deps: DiskCheckDeps
  #isUnchecked = false

  constructor(deps: DiskCheckDeps) {
    this.#deps = deps
  }

  /** Call this with the lease. Undefined if the guest may have the disks, else why not. */
  async whyNot(disks: readonly DiskInput[]): Promise<string | undefined> {
    this.#isUnchecked = false
    if (!(await this.#wereOpen())) return undefined
    for (const { name, path, readOnly } of disks.filter((one) => !one.readOnly)) {
      const finding = await this.#check(path)
      this.#deps.log.info({ disk: name, readOnly, ...finding }, 'Checked a disk whose QEMU did not close it')
      if (finding.kind === 'corrupt') return corrupt(name, finding.corruptions)
      if (finding.kind === 'unknown') this.#isUnchecked = true
    }
    return undefined
  }

  /** A mark that cannot be written (full disk) only leaves a check out, or makes one too many. */
  async opened(): Promise<void> {
    await this.#mark(mark.open)
  }

  /** A disk that could not be checked stays marked for the next start. */
  async closed(): Promise<void> {
    if (!this.#isUnchecked) await this.#mark(mark.closed)
  }

  async #mark(text: string): Promise<void> {
    const { files, log, markPath } = this.#deps
    await files.replaceText(markPath, text).catch((error: Error) => log.warn({ why: error.message }, 'Cannot mark the disks'))
  }

  /** Without a mark no QEMU of this release had them, and an earlier one did not check them either. */
  async #wereOpen(): Promise<boolean> {
    const { files, log, markPath } = this.#deps
    try {
      return (await files.readText(markPath)) !== mark.closed
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      log.warn({ why: (error as Error).message }, 'Cannot read whether the disks were closed; checking them')
      return true
    }
  }

  async #check(path: string): Promise<DiskFinding> {
    const found = await this.#qemuImg(path, [])
    return found.kind === 'leaking' ? this.#qemuImg(path, ['-r', 'leaks']) : found
  }

  async #qemuImg(path: string, repair: readonly string[]): Promise<DiskFinding> {
    let output = ''
    const onOutput = (bytes: Uint8Array): void => void (output = `${output}${Buffer.from(bytes).toString()}`.slice(-longestReport))
    try {
      const args = ['check', '--output=json', '-f', 'qcow2', ...repair, path]
      const child = await this.#deps.processes.spawn(this.#deps.qemuImg, args, { channels: 0, fds: [], onOutput })
      const end = await child.ended
      return judgeCheck(end.kind === 'exited' ? end.code : undefined, output)
    } catch (error) {
      return { kind: 'unknown', message: (error as Error).message }
    }
  }
}

function corrupt(name: string, corruptions: number): string {
  const what = `disk ${name} is corrupt (${corruptions} errors) after its QEMU was killed; it is kept, and the guest is not started`
  return `${what}. Copy the file, then repair it on the node with: qemu-img check -r all disks/${name}.qcow2, or restore a backup; then docker vm restart`
}

function parsed(output: string): unknown {
  const start = output.indexOf('{')
  try {
    return JSON.parse(output.slice(start === -1 ? 0 : start, output.lastIndexOf('}') + 1))
  } catch {
    return undefined
  }
}

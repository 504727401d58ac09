import { cdromId, discNode } from './devices/cdroms.ts'
import type { Log } from '../src/ports/log.ts'
import { type DiskSize, growDisks } from './grow-disks.ts'
import { type Qmp, QmpError } from './qmp.ts'

/** The values that QEMU should have, in QEMU's names. */
export interface LiveInputs {
  readonly sizes: readonly DiskSize[]
  readonly limits: readonly DiskLimits[]
  /** In the order of the drives; `path` is undefined for an empty one. */
  readonly discs: readonly { readonly name: string; readonly path: string | undefined }[]
  readonly links: readonly { readonly name: string; readonly device: string; readonly up: boolean }[]
  readonly memory: Memory
}

export interface DiskLimits {
  /** The name in the manifest, as for `discs` and `links`. */
  readonly name: string
  readonly device: string
  /** In a second; 0 for no limit. */
  readonly iops: number
  readonly bytes: number
}

interface Memory {
  readonly fullBytes: number
  /** Left to the guest by the balloon. */
  readonly targetBytes: number
}

type Step = readonly [what: string, made: () => Promise<void>]

/**
 * The part of a machine that changes while QEMU runs. QEMU begins with empty drives, all links up, no limits and all memory. Each call brings it from
 * there, or from the previous call, to what it should have. So a call can be repeated.
 */
export class LiveMachine {
  readonly #qmp: Pick<Qmp, 'execute'>
  readonly #log: Log
  readonly #discs = new Map<number, { readonly path: string; readonly node: string }>()
  /** Values that differ from QEMU's first ones, by step. */
  readonly #changed = new Map<string, string>()
  #inserted = 0

  constructor(qmp: Pick<Qmp, 'execute'>, log: Log) {
    this.#qmp = qmp
    this.#log = log
  }

  /** Makes every step, also after one that fails. Resolves with what failed and why. */
  async apply(inputs: LiveInputs): Promise<readonly string[]> {
    const problems: string[] = []
    for (const [what, made] of this.#steps(inputs)) {
      try {
        await made()
      } catch (error) {
        if (!(error instanceof QmpError)) throw error
        this.#log.warn({ what, why: error.message }, 'QEMU did not take a live edit')
        problems.push(`${what}: ${error.message}`.slice(0, 500))
      }
    }
    return [...problems, ...(await this.#grow(inputs.sizes))]
  }

  #steps({ limits, discs, links, memory }: LiveInputs): readonly Step[] {
    return [
      ...discs.map(({ name, path }, index): Step => [`disc of drive ${name}`, () => this.#exchange(index, path)]),
      ...links.map(
        ({ name, device, up }): Step => [`link of network ${name}`, () => this.#set(device, up, true, ['set_link', { name: device, up }])],
      ),
      ...limits.map((one): Step => [`limits of disk ${one.name}`, () => this.#limit(one)]),
      ['memory', () => this.#set('memory', memory.targetBytes, memory.fullBytes, ['balloon', { value: memory.targetBytes }])],
    ]
  }

  async #set(key: string, value: unknown, first: unknown, [command, args]: readonly [string, Record<string, unknown>]): Promise<void> {
    const wanted = JSON.stringify(value)
    if ((this.#changed.get(key) ?? JSON.stringify(first)) === wanted) return
    await this.#qmp.execute(command, args)
    this.#changed.set(key, wanted)
    this.#log.info({ command, key, value }, 'Applied a live edit')
  }

  #limit({ device, iops, bytes }: DiskLimits): Promise<void> {
    const args = { id: device, iops, iops_rd: 0, iops_wr: 0, bps: bytes, bps_rd: 0, bps_wr: 0 }
    return this.#set(`limits ${device}`, [iops, bytes], [0, 0], ['block_set_io_throttle', args])
  }

  /** Opens the tray also when the guest has locked it: the manifest decides, as for a disc that a person takes out with a pin. */
  async #exchange(index: number, path: string | undefined): Promise<void> {
    const [id, old] = [cdromId(index), this.#discs.get(index)]
    if (old?.path === path) return
    await this.#qmp.execute('blockdev-open-tray', { id, force: true })
    if (old !== undefined) {
      await this.#qmp.execute('blockdev-remove-medium', { id })
      this.#discs.delete(index)
      await this.#qmp.execute('blockdev-del', { 'node-name': old.node })
    }
    if (path !== undefined) {
      const node = `${id}-disc${(this.#inserted += 1)}`
      await this.#qmp.execute('blockdev-add', discNode(node, path))
      await this.#qmp.execute('blockdev-insert-medium', { id, 'node-name': node })
      this.#discs.set(index, { path, node })
    }
    await this.#qmp.execute('blockdev-close-tray', { id })
    this.#log.info({ drive: id, disc: path ?? 'none' }, 'Changed the disc of a drive')
  }

  async #grow(sizes: readonly DiskSize[]): Promise<readonly string[]> {
    try {
      return await growDisks(this.#qmp, sizes, this.#log)
    } catch (error) {
      if (!(error instanceof QmpError)) throw error
      return [`size of the disks: ${error.message}`]
    }
  }
}

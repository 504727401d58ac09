import type { Log } from '../src/ports/log.ts'
import { type Qmp, QmpError } from './qmp.ts'

export interface DiskSize {
  /** QEMU's name of the disk's block node. */
  readonly node: string
  readonly sizeBytes: number
}

/** QEMU refuses other sizes. It also creates disks with a multiple of it. */
const sectorBytes = 512

/** Grows disks before the guest runs, and never shrinks one: a launch config can be older than the disk. Throws QmpError if QEMU does not answer. */
export async function growDisks(qmp: Pick<Qmp, 'execute'>, disks: readonly DiskSize[], log: Log): Promise<void> {
  if (disks.length === 0) return
  const sizes = sizesIn(await qmp.execute('query-named-block-nodes', { flat: true }))
  for (const { node, sizeBytes } of disks) {
    if ((sizes.get(node) ?? sizeBytes) >= sizeBytes) continue
    try {
      await qmp.execute('block_resize', { 'node-name': node, size: Math.ceil(sizeBytes / sectorBytes) * sectorBytes })
      log.info({ node, sizeBytes }, 'Grew a disk')
    } catch (error) {
      if (!(error instanceof QmpError)) throw error
      // The guest is better off with the smaller disk than without any. The next start tries again.
      log.warn({ node, sizeBytes, why: error.message }, 'Cannot grow a disk')
    }
  }
}

function sizesIn(answer: unknown): ReadonlyMap<string, number> {
  const nodes = Array.isArray(answer) ? (answer as readonly { 'node-name'?: unknown; image?: { 'virtual-size'?: unknown } }[]) : []
  return new Map(
    nodes.flatMap((one) => {
      const [name, size] = [one['node-name'], one.image?.['virtual-size']]
      return typeof name === 'string' && typeof size === 'number' ? [[name, size] as const] : []
    }),
  )
}

import type { Log } from '../src/ports/log.ts'
import { type Qmp, QmpError } from './qmp.ts'

export interface DiskSize {
  /** QEMU's name of the disk's block node. */
  readonly node: string
  readonly sizeBytes: number
}

/** QEMU refuses other sizes. It also creates disks with a multiple of it. */
const sectorBytes = 512

/**
 * Grows disks, and never shrinks one: the size may have been withdrawn when the disk had grown. Resolves with what QEMU refused. Throws QmpError if
 * QEMU does not answer.
 */
export async function growDisks(qmp: Pick<Qmp, 'execute'>, disks: readonly DiskSize[], log: Log): Promise<readonly string[]> {
  if (disks.length === 0) return []
  const problems: string[] = []
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
      problems.push(`size of ${node}: ${error.message}`)
    }
  }
  return problems
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

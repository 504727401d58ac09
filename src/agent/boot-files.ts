import type { Layout } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import { formatBytes } from '../api/quantity.ts'
import type { PrepareStatus } from '../api/wire/agent-api.ts'
import { type BootFile, bootFilesFile } from '../api/wire/boot-files.ts'
import type { Firmware } from '../api/wire/common.ts'
import { ArrivalError, type ImageArrivals } from '../ports/image-arrivals.ts'
import type { Random } from '../ports/random.ts'
import { StateError, type StateFiles } from '../ports/state-files.ts'
import { judgeSetback, reserveBytes } from './image-setback.ts'
import { type QuietFiles, quietMs } from './quiet-files.ts'

export type Unready = Exclude<PrepareStatus, { state: 'ready' }>

/** Much larger than any kernel or initrd. The copy is made while the order waits. */
const mostBytes = 512 * 1024 ** 2
/** Linux x86 boot protocol: `HdrS` at this place of a bzImage (Documentation/arch/x86/boot.rst). */
const magic = { at: 0x202, text: 'HdrS' }
const maxFileBytes = 4 * 1024

export interface BootFilesOptions {
  readonly layout: Layout
  readonly files: StateFiles
  readonly arrivals: Pick<ImageArrivals, 'copy'>
  readonly quiet: QuietFiles
  readonly random: Random
  readonly signal: AbortSignal
}

/**
 * Copies the kernel and the initrd into the store, and links them into the VM's directory. A file is copied once for each name, as a disk's image is:
 * an operator who overwrites it changes no VM. `named` are all names of the order, whose files are kept. Throws StateError.
 */
export async function keepBootFiles(
  options: BootFilesOptions,
  uid: VmUid,
  { kernel, named }: { readonly kernel: Firmware['kernel']; readonly named: readonly string[] },
): Promise<Unready | undefined> {
  const { files, layout } = options
  const recorded = await readBootFiles(options, uid)
  const kept: BootFile[] = []
  for (const one of recorded) if (named.includes(one.source) && (await files.stat(linkOf(layout, uid, one))) !== undefined) kept.push(one)
  const wanted = kernel === undefined ? [] : [kernel.image, ...(kernel.initrd === undefined ? [] : [kernel.initrd])]
  for (const source of new Set(wanted)) {
    if (kept.some((one) => one.source === source)) continue
    const brought = await bring(options, source, source === kernel?.image)
    if ('state' in brought) return brought
    await files.link(layout.storedImage(brought.sha256), linkOf(layout, uid, brought))
    kept.push(brought)
  }
  if (JSON.stringify(kept) !== JSON.stringify(recorded))
    await files.writeAtomically(layout.bootFilesFile(uid), `${JSON.stringify({ version: 1, files: kept })}\n`, 0o440)
  return undefined
}

function linkOf(layout: Layout, uid: VmUid, { sha256 }: Pick<BootFile, 'sha256'>): string {
  return `${layout.instanceImages(uid)}/${sha256}`
}

async function readBootFiles({ files, layout }: BootFilesOptions, uid: VmUid): Promise<readonly BootFile[]> {
  const path = layout.bootFilesFile(uid)
  const text = await files.readText(path, maxFileBytes)
  if (text === undefined) return []
  try {
    return bootFilesFile.parse(JSON.parse(text)).files
  } catch (cause) {
    throw new StateError('Content', `${path} is not valid; remove it to copy the kernel again`, { cause })
  }
}

async function bring(options: BootFilesOptions, source: string, isKernel: boolean): Promise<BootFile | Unready> {
  const { arrivals, files, layout, quiet, random, signal } = options
  const path = `${layout.root}/${source}`
  const fact = await files.stat(path)
  if (fact === undefined) return failed('ImageMissing', `${source} is missing on this node; copy the file to ${path}`)
  if (fact.kind !== 'file') return failed('ImageRefused', `${path} is not a regular file; copy the file itself to this path`)
  if (fact.sizeBytes > mostBytes) return failed('ImageRefused', `${source} is larger than ${formatBytes(mostBytes)}`)
  if (quiet.waitMs(path, fact) > 0) {
    const message = `${source} is still being written; waiting until it is unchanged for ${quietMs / 1000} s`
    return { state: 'preparing', reason: 'ImageArriving', message }
  }
  const { freeBytes } = await files.space(layout.store)
  const partial = `${layout.store}/local.partial-${random.uuid()}`
  try {
    const maxBytes = Math.max(0, Math.min(mostBytes, freeBytes - reserveBytes))
    const { sha256 } = await arrivals.copy(path, partial, { maxBytes, onProgress: () => undefined, signal })
    if (isKernel && !isLinux(await files.readStart(partial, magic.at + magic.text.length))) {
      await files.remove(partial)
      return failed('ImageRefused', `${source} is not a Linux kernel (bzImage)`)
    }
    await files.publish(partial, layout.storedImage(sha256), 0o440)
    return { source, sha256 }
  } catch (error) {
    if (!(error instanceof ArrivalError)) throw error
    const { kind, reason, message } = judgeSetback(error, { source, sha256: null }, freeBytes)
    return kind === 'failed' ? failed(reason, message) : { state: 'preparing', reason, message: message.slice(0, 2000) }
  }
}

function isLinux(start: Uint8Array | undefined): boolean {
  return start !== undefined && Buffer.from(start.subarray(magic.at)).toString('latin1') === magic.text
}

function failed(reason: string, message: string): Unready {
  return { state: 'failed', reason, message: message.slice(0, 2000) }
}

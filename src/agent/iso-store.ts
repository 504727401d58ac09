import { StateError } from '../ports/state-files.ts'
import type { StoredImage } from './image-file.ts'
import { type ImageStore, imageStore, type ImageStoreOptions } from './image-store.ts'

/** A complete ISO 9660 image consists of such sectors. Others may end elsewhere, and drives round them up. */
const leastBytes = 2_048

/**
 * The discs of CD-ROM drives, in the same store as images. QEMU opens them read-only as `raw` and never looks for another format, so any file of an
 * operator can be a disc and none is inspected.
 */
export function isoStore(options: Omit<ImageStoreOptions, 'judge'>): Pick<ImageStore, 'resolve'> {
  return imageStore({ ...options, judge: (path, sha256) => judgeDisc(options, path, sha256) })
}

async function judgeDisc({ files }: Pick<ImageStoreOptions, 'files'>, path: string, sha256: string) {
  const fact = await files.stat(path)
  if (fact === undefined) throw new StateError('Io', `${path} no longer exists`)
  if (fact.sizeBytes >= leastBytes) return { sha256, format: 'raw', virtualSizeBytes: fact.sizeBytes } satisfies StoredImage
  return { kind: 'failed', reason: 'ImageRefused', message: `the disc with sha256 ${sha256} has only ${fact.sizeBytes} bytes` } as const
}

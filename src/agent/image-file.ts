import type { ImageTool } from '../ports/image-tool.ts'
import { PortError } from '../ports/errors.ts'
import type { StateFiles } from '../ports/state-files.ts'
import { headerBytes, judgeImageHeader } from './image-judgement.ts'
import { type Failure, failed } from './prepare-plan.ts'

export interface StoredImage {
  readonly sha256: string
  readonly virtualSizeBytes: number
}

export interface ImageFileTools {
  readonly files: Pick<StateFiles, 'readStart'>
  readonly tool: Pick<ImageTool, 'info'>
  readonly signal: AbortSignal
}

/** Whether an image may stand under a disk: first its header, read by us, and only then qemu-img. Throws StateError and PortError `Unavailable`. */
export async function judgeFile(options: ImageFileTools, path: string, sha256: string): Promise<StoredImage | Failure> {
  const refused = (why: string): Failure => failed('ImageRefused', `the image with sha256 ${sha256} cannot be used: ${why}`)
  const start = await options.files.readStart(path, headerBytes)
  const header = judgeImageHeader(start ?? new Uint8Array())
  if (!header.ok) return refused(header.message)
  try {
    const info = await options.tool.info(path, options.signal)
    if (info.backingFile !== undefined || info.dataFile !== undefined || info.encrypted) return refused('it does not stand alone')
    return { sha256, virtualSizeBytes: info.virtualSizeBytes }
  } catch (error) {
    if (error instanceof PortError && error.kind === 'Invalid') return refused(`qemu-img says "${error.message}"`)
    throw error
  }
}

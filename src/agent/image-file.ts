import { PortError } from '../ports/errors.ts'
import type { ImageFormat, ImageTool } from '../ports/image-tool.ts'
import { StateError, type StateFiles } from '../ports/state-files.ts'
import { headerBytes, imageFormat, judgeImageHeader } from './image-judgement.ts'
import { type Failure, failed } from './prepare-plan.ts'
import { judgeRaw } from './raw-judgement.ts'

export interface StoredImage {
  readonly sha256: string
  readonly format: ImageFormat
  readonly virtualSizeBytes: number
}

export interface ImageFileTools {
  readonly files: Pick<StateFiles, 'readStart' | 'stat'>
  readonly tool: Pick<ImageTool, 'info' | 'check'>
  readonly signal: AbortSignal
}

/** Whether an image may stand under a disk: first its header, read by us, and only then qemu-img. Throws StateError and PortError `Unavailable`. */
export async function judgeFile(options: ImageFileTools, path: string, sha256: string): Promise<StoredImage | Failure> {
  const refused = (why: string): Failure => failed('ImageRefused', `the image with sha256 ${sha256} cannot be used: ${why}`)
  const start = await options.files.readStart(path, headerBytes)
  const fact = await options.files.stat(path)
  if (start === undefined || fact === undefined) throw new StateError('Io', `${path} is gone`)
  const format = imageFormat(start)
  const verdict = format === 'qcow2' ? judgeImageHeader(start) : judgeRaw(start, fact.sizeBytes)
  if (!verdict.ok) return refused(verdict.message)
  if (format === 'raw') return { sha256, format, virtualSizeBytes: verdict.virtualSizeBytes }
  try {
    const info = await options.tool.info(path, options.signal)
    if (info.backingFile !== undefined || info.dataFile !== undefined || info.encrypted) return refused('it does not stand alone')
    await options.tool.check(path, options.signal)
    return { sha256, format, virtualSizeBytes: info.virtualSizeBytes }
  } catch (error) {
    if (error instanceof PortError && error.kind === 'Invalid') return refused(whyInvalid(error.message))
    throw error
  }
}

/** In the words of QEMU's block/qcow2-refcount.c. A cut of less than one cluster is not seen: a complete image may end that way. */
function whyInvalid(message: string): string {
  return message.includes('exceeding the end of the file')
    ? 'it is cut off: it refers to data after its end, as an interrupted copy does; copy it again'
    : `qemu-img says "${message}"`
}

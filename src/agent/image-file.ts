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

/** Whether an image can be the base of a disk. Checks its header first, then runs qemu-img. Throws StateError and PortError `Unavailable`. */
export async function judgeFile(options: ImageFileTools, path: string, sha256: string): Promise<StoredImage | Failure> {
  const refused = (why: string): Failure => failed('ImageRefused', `the image with sha256 ${sha256} cannot be used: ${why}`)
  const start = await options.files.readStart(path, headerBytes)
  const fact = await options.files.stat(path)
  if (start === undefined || fact === undefined) throw new StateError('Io', `${path} no longer exists`)
  const format = imageFormat(start)
  const verdict = format === 'qcow2' ? judgeImageHeader(start) : judgeRaw(start, fact.sizeBytes)
  if (!verdict.ok) return refused(verdict.message)
  if (format === 'raw') return { sha256, format, virtualSizeBytes: verdict.virtualSizeBytes }
  try {
    const info = await options.tool.info(path, options.signal)
    if (info.backingFile !== undefined || info.dataFile !== undefined || info.encrypted) return refused('it depends on another file')
    await options.tool.check(path, options.signal)
    return { sha256, format, virtualSizeBytes: info.virtualSizeBytes }
  } catch (error) {
    if (error instanceof PortError && error.kind === 'Invalid') return refused(whyInvalid(error.message))
    throw error
  }
}

/** Explains the message of QEMU's block/qcow2-refcount.c. A cut of less than one cluster is not detected: a complete image may end that way. */
function whyInvalid(message: string): string {
  return message.includes('exceeding the end of the file')
    ? 'it is truncated: it refers to data after its end, like an interrupted copy; copy it again'
    : `qemu-img reports "${message}"`
}

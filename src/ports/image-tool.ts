export type ImageFormat = 'qcow2' | 'raw'

interface Backing {
  readonly path: string
  readonly format: ImageFormat
}

/** qemu-img's information about a qcow2 image. */
export interface ImageInfo {
  readonly virtualSizeBytes: number
  readonly backingFile: string | undefined
  readonly dataFile: string | undefined
  readonly encrypted: boolean
}

/**
 * qemu-img, with limits on time and memory. Every method throws PortError: `Invalid` with its message if it reports an error, `Unavailable`
 * if it cannot be run or takes too long.
 */
export interface ImageTool {
  /** Only for qcow2 images whose header was checked, because qemu-img opens the files that a header names. */
  info(path: string, signal?: AbortSignal): Promise<ImageInfo>
  /** Reads all metadata of a qcow2 image. `Invalid` if it is damaged or truncated; leaked clusters are no damage. */
  check(path: string, signal?: AbortSignal): Promise<void>
  /**
   * Creates a qcow2 disk at a path that must not exist: an overlay, or a blank disk without `backing`. `backing.path` is relative to it. Writes
   * the format into it, so that QEMU never guesses it.
   */
  createDisk(path: string, backing: Backing | undefined, sizeBytes: number, signal?: AbortSignal): Promise<void>
}

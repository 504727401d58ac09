export type ImageFormat = 'qcow2' | 'raw'

/** qemu-img's information about a qcow2 image. */
export interface ImageInfo {
  readonly virtualSizeBytes: number
  readonly backingFile: string | undefined
  readonly dataFile: string | undefined
  readonly encrypted: boolean
}

/** qemu-img, with limits on time and memory. Every method throws PortError: `Invalid` with its words where it refused, `Unavailable` where it could not be run or took too long. */
export interface ImageTool {
  /** For qcow2 images whose header has been judged already: qemu-img opens what a header names. */
  info(path: string, signal?: AbortSignal): Promise<ImageInfo>
  /** Reads all metadata of a qcow2 image; `Invalid` where it is damaged or ends early. Leaked clusters are no damage. */
  check(path: string, signal?: AbortSignal): Promise<void>
  /** Makes a qcow2 overlay at a path that must not exist; `backing.path` is relative to it. The format is written into it, so no QEMU ever guesses it. */
  createOverlay(
    path: string,
    backing: { readonly path: string; readonly format: ImageFormat },
    sizeBytes: number,
    signal?: AbortSignal,
  ): Promise<void>
}

/** What qemu-img says about an image that it was told is qcow2. */
export interface ImageInfo {
  readonly virtualSizeBytes: number
  readonly backingFile: string | undefined
  readonly dataFile: string | undefined
  readonly encrypted: boolean
}

/** qemu-img, with limits on time and memory. Every method throws PortError: `Invalid` with its words where it refused, `Unavailable` where it could not be run or took too long. */
export interface ImageTool {
  /** For images whose header has been judged already: qemu-img opens what a header names. */
  info(path: string, signal?: AbortSignal): Promise<ImageInfo>
  /** Makes a qcow2 overlay at a path that must not exist; `backing` is relative to it and qcow2. */
  createOverlay(path: string, backing: string, sizeBytes: number, signal?: AbortSignal): Promise<void>
}

/**
 * Why no image arrived. `Missing`, `NotAFile` and `Refused` (a 4xx, a redirect we do not follow) need a person; the others may pass.
 */
export type ArrivalFailure = 'Missing' | 'NotAFile' | 'Refused' | 'Changed' | 'TooLarge' | 'NoSpace' | 'Network' | 'Io'

export class ArrivalError extends Error {
  override readonly name = 'ArrivalError'
  readonly failure: ArrivalFailure

  constructor(failure: ArrivalFailure, message: string, options?: ErrorOptions) {
    super(message, options)
    this.failure = failure
  }
}

export interface Arrival {
  readonly sha256: string
  readonly bytes: number
}

export interface ArrivalOptions {
  /** More than this is `TooLarge`, whatever was announced. */
  readonly maxBytes: number
  /** Called now and then; `totalBytes` is what was announced, if anything was. */
  readonly onProgress: (bytes: number, totalBytes: number | undefined) => void
  readonly signal: AbortSignal
}

/** Brings an image's bytes to a new file of the agent's own, hashing as they pass. Rejects with ArrivalError, and no file stays then. */
export interface ImageArrivals {
  /** From a regular file that others may overwrite at any time; `Changed` when they did meanwhile. */
  copy(from: string, to: string, options: ArrivalOptions): Promise<Arrival>
  /** From http:// or https://; follows a few redirects to the same two. */
  download(url: string, to: string, options: ArrivalOptions): Promise<Arrival>
}

/**
 * Why no image arrived.
 *
 * - `Missing`, `NotAFile`: the operator's file is not there, or is not a file that can be read.
 * - `HostRefused`: the address is not one that images may come from. The message is the same for every such address.
 * - `Tls`: the server could not prove who it is, or speaks no TLS.
 * - `Refused`: the server answered, and not with the image (a 4xx, a redirect that is not followed, no HTTP).
 * - `Changed`, `Network`, `TooSlow`: it may work the next time.
 * - `TooLarge`, `NoSpace`: there is no room for it.
 * - `Io`: this node's own disk failed.
 */
export type ArrivalFailure =
  | 'Missing'
  | 'NotAFile'
  | 'HostRefused'
  | 'Tls'
  | 'Refused'
  | 'Changed'
  | 'Network'
  | 'TooSlow'
  | 'TooLarge'
  | 'NoSpace'
  | 'Io'

export class ArrivalError extends Error {
  override readonly name = 'ArrivalError'
  readonly failure: ArrivalFailure

  constructor(failure: ArrivalFailure, message: string, options?: ErrorOptions) {
    super(message, options)
    this.failure = failure
  }
}

export interface Arrival {
  /** Of the full content, holes included. */
  readonly sha256: string
  readonly bytes: number
  /** The first bytes, for a message about content that nobody expected. */
  readonly start: Uint8Array
  /** As the server names it; undefined for a local file. */
  readonly contentType: string | undefined
}

export interface ArrivalOptions {
  /** More than this on the disk is `TooLarge`. Blocks of zeros become holes and do not count. */
  readonly maxBytes: number
  /** Called now and then; `totalBytes` is the announced size, if there is one. */
  readonly onProgress: (bytes: number, totalBytes: number | undefined) => void
  readonly signal: AbortSignal
}

interface DownloadOptions extends ArrivalOptions {
  /** Public addresses that no image may come from: those of the cluster's nodes. */
  readonly refusedAddresses: readonly string[]
}

/** Writes an image's bytes to a new file of the agent's own and hashes them. Rejects with ArrivalError, and leaves no file then. */
export interface ImageArrivals {
  /** From a regular file that others may overwrite at any time; `Changed` when they did meanwhile. */
  copy(from: string, to: string, options: ArrivalOptions): Promise<Arrival>
  /** From http:// or https://; follows a few redirects, and checks the address of each. */
  download(url: string, to: string, options: DownloadOptions): Promise<Arrival>
}

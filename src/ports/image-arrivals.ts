/**
 * Why no image arrived.
 *
 * - `Missing`, `NotAFile`: the operator's file does not exist, or is not a readable file.
 * - `HostRefused`: images may not come from this address. The message is the same for every such address.
 * - `Tls`: the server could not prove its identity, or does not support TLS.
 * - `Refused`: the server sent something other than the image (a 4xx, a redirect that is not followed, no HTTP).
 * - `Changed`, `Network`, `TooSlow`: a retry may succeed.
 * - `TooLarge`, `NoSpace`: there is not enough space.
 * - `Io`: the node's own disk failed.
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
  /** Hash of the full content, including holes. */
  readonly sha256: string
  readonly bytes: number
  /** The first bytes, for the message if the content is not an image. */
  readonly start: Uint8Array
  /** The server's version of the file; undefined for a local file. */
  readonly contentType: string | undefined
}

export interface ArrivalOptions {
  /** More bytes on disk than this are `TooLarge`. Blocks of zeros become holes and do not count. */
  readonly maxBytes: number
  /** Called repeatedly; `totalBytes` is the announced size, if there is one. */
  readonly onProgress: (bytes: number, totalBytes: number | undefined) => void
  readonly signal: AbortSignal
}

interface DownloadOptions extends ArrivalOptions {
  /** Public addresses of the cluster's nodes, from which no image may come. */
  readonly refusedAddresses: readonly string[]
}

/** Writes the bytes of an image to a new file of the agent, and hashes them. Rejects with ArrivalError and then leaves no file. */
export interface ImageArrivals {
  /** Copies a regular file that other programs may overwrite; rejects with `Changed` if one does. */
  copy(from: string, to: string, options: ArrivalOptions): Promise<Arrival>
  /** Downloads from http:// or https://. Follows a few redirects, and checks the address of each. */
  download(url: string, to: string, options: DownloadOptions): Promise<Arrival>
}

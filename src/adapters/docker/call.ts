export interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Path without API version and query. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean>>
  readonly body?: unknown
  readonly signal?: AbortSignal | undefined
}

/** A request with the API version in its path. */
export interface Request extends Call {
  /** The response is an endless stream without a timeout. */
  readonly isStream: boolean
  /** Requests the response as a stream of bytes. A transport without streams returns JSON. */
  readonly asBytes?: boolean
}

/** Sends one request and resolves with the parsed JSON or a stream of bytes. Throws the transport's errors; the engine classifies them. */
export type Dial = (request: Request) => Promise<unknown>

export interface ByteStream extends AsyncIterable<Uint8Array | string> {
  destroy(): void
}

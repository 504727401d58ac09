export interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Without version and query. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean>>
  readonly body?: unknown
  readonly signal?: AbortSignal | undefined
}

/** A call as it is sent, with the API's version in its path. */
export interface Request extends Call {
  /** The answer has no end: it is given as a stream, and takes as long as it takes. */
  readonly isStream: boolean
  /** The answer's bytes are wanted as they come. A transport that has none gives the JSON. */
  readonly asBytes?: boolean
}

/** Sends one request and gives the answer's JSON, or a stream of bytes. Throws what the transport throws: errors are judged by the engine. */
export type Dial = (request: Request) => Promise<unknown>

export interface ByteStream extends AsyncIterable<Uint8Array | string> {
  destroy(): void
}

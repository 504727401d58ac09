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

/** Docker answered with an error status. The message is the daemon's own. */
export class StatusError extends Error {
  readonly status: number

  /** `answer` is `{"message": …}` as JSON, or the text of a proxy. */
  constructor(status: number, answer: string) {
    super(messageIn(answer))
    this.status = status
  }
}

function messageIn(answer: string): string {
  try {
    const { message } = (JSON.parse(answer) ?? {}) as { readonly message?: unknown }
    return typeof message === 'string' ? message : answer
  } catch {
    return answer
  }
}

/**
 * Sends one request and resolves with the parsed JSON or a stream of bytes. Throws StatusError; any other error means that Docker did not answer, and
 * the engine classifies both.
 */
export type Dial = (request: Request) => Promise<unknown>

export interface ByteStream extends AsyncIterable<Uint8Array | string> {
  destroy(): void
}

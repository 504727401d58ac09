/** A complete request over the control plane, within its limits. */
export interface ControlRequest {
  readonly method: string
  /** Without the query string. */
  readonly path: string
  /** UTF-8; empty if there is no body. */
  readonly body: string
  /** Aborted when the client disconnects. */
  readonly signal: AbortSignal
}

export interface ControlAnswer {
  readonly status: number
  /** Sent as JSON. */
  readonly body: object
}

/** Answers one request. A rejection becomes a 500 without the error's text. */
export type AnswerControl = (request: ControlRequest) => Promise<ControlAnswer>

export interface ControlListener {
  /** The port that it really listens on. */
  readonly port: number
  /** Closes every connection. */
  close(): Promise<void>
}

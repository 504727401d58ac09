/** What arrives over the control plane, read completely and within its limits. */
export interface ControlRequest {
  readonly method: string
  /** Without query. */
  readonly path: string
  /** UTF-8; empty where there is none. */
  readonly body: string
  /** Aborted when the caller went away. */
  readonly signal: AbortSignal
}

export interface ControlAnswer {
  readonly status: number
  /** Sent as JSON. */
  readonly body: object
}

/** Answers one request; a rejection becomes a 500 without its text. */
export type AnswerControl = (request: ControlRequest) => Promise<ControlAnswer>

export interface ControlListener {
  /** The port it really listens on. */
  readonly port: number
  /** Cuts every connection. */
  close(): Promise<void>
}

export type TcpOutcome =
  /** `received` is empty without `talk`. It may end anywhere, if the time is over or the guest sends too much. */
  | { readonly kind: 'connected'; readonly rttMs: number; readonly received: string }
  /** Connection reset: the address exists, but the port is closed. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'silent' }
  /** No packet can be sent to this address from here. This says nothing about the other side. */
  | { readonly kind: 'noRoute'; readonly message: string }

/** A short exchange after connecting. The other side is untrusted. */
export interface TcpTalk {
  readonly send: string
  readonly maxBytes: number
  /** True once enough was received. Bytes are read as Latin-1, so none of them is lost. */
  readonly isEnough: (received: string) => boolean
}

interface TcpTarget {
  readonly ip: string
  readonly port: number
  /** From the start to the end of the exchange. */
  readonly timeoutMs: number
  readonly talk?: TcpTalk
}

/** Opens one TCP connection, has the exchange, and closes it. Rejects only if the signal is aborted. */
export type TcpConnect = (target: TcpTarget, signal?: AbortSignal) => Promise<TcpOutcome>

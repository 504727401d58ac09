export type TcpOutcome =
  | { readonly kind: 'connected'; readonly rttMs: number }
  /** Connection reset: the address exists, but the port is closed. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'silent' }
  /** No packet can be sent to this address from here. This says nothing about the other side. */
  | { readonly kind: 'noRoute'; readonly message: string }

/** Opens one TCP connection and closes it immediately. Rejects only if the signal is aborted. */
export type TcpConnect = (ip: string, port: number, timeoutMs: number, signal?: AbortSignal) => Promise<TcpOutcome>

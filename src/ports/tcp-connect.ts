export type TcpOutcome =
  | { readonly kind: 'connected'; readonly rttMs: number }
  /** A reset: the address is there, the port is not. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'silent' }
  /** From here no packet can leave to that address; it says nothing about the far side. */
  | { readonly kind: 'noRoute'; readonly message: string }

/** Tries one TCP connection and closes it at once. Never rejects but for the signal. */
export type TcpConnect = (ip: string, port: number, timeoutMs: number, signal?: AbortSignal) => Promise<TcpOutcome>

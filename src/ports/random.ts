export interface Random {
  /** A number in [0, 1). */
  next(): number
  /** A UUID of version 4 (RFC 9562). */
  uuid(): string
}

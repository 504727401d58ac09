import { createHash } from 'node:crypto'
import { byText } from './order.ts'

/** JSON with sorted keys and without `undefined`, so that equal values give equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => byText(a, b)))
      : inner,
  )
}

/** Lower-case hex SHA-256 of a text (as UTF-8) or of bytes. */
export function sha256Hex(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}

/** SHA-256 of the canonical JSON of a value, cut to 32 hex digits: 128 bits, short enough for a label. */
export function hashOf(value: unknown): string {
  return sha256Hex(canonicalJson(value)).slice(0, 32)
}

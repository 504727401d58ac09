import { hash } from 'node:crypto'

/** JSON with sorted keys and without `undefined`, so that equal values give equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner) ? sorted(inner as Readonly<Record<string, unknown>>) : inner,
  )
}

/** Sorts by UTF-16 code units, as `sort` does. Without a prototype, a key `__proto__` is one like any other. */
function sorted(value: Readonly<Record<string, unknown>>): object {
  const copy = Object.create(null) as Record<string, unknown>
  for (const key of Object.keys(value).sort()) copy[key] = value[key]
  return copy
}

/** Lower-case hex SHA-256 of a text (as UTF-8) or of bytes. */
export function sha256Hex(data: string | Uint8Array): string {
  return hash('sha256', data, 'hex')
}

/** SHA-256 of the canonical JSON of a value, cut to 32 hex digits: 128 bits, short enough for a label. */
export function hashOf(value: unknown): string {
  return sha256Hex(canonicalJson(value)).slice(0, 32)
}

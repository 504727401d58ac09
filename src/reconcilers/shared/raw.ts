/** Docker's answers are read permissively: a field that is absent or of another kind is undefined, never an error. */
export type Raw = Readonly<Record<string, unknown>>

export function rawObject(value: unknown): Raw {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Raw) : {}
}

export function rawList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

export function rawString(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

export function rawNumber(value: unknown): number | undefined {
  return typeof value === 'number' && value !== 0 ? value : undefined
}

const utf8 = new TextDecoder()

/** The JSON in a config's data; undefined if it is none. */
export function rawJson(data: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(data)) as unknown
  } catch {
    return undefined
  }
}

/** The value at a path of keys. */
export function dig(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, key) => rawObject(inner)[key], value)
}

/** Drops the values that Docker leaves out or fills in for an unset field: undefined, null, false, 0, '', [] and {}. Undefined if nothing is left. */
export function dense(value: unknown): unknown {
  if (Array.isArray(value)) {
    const list = value.map(dense).map((one) => one ?? null)
    return list.length > 0 ? list : undefined
  }
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).flatMap(([key, inner]) => {
      const kept = dense(inner)
      return kept === undefined ? [] : [[key, kept] as const]
    })
    return entries.length > 0 ? Object.fromEntries(entries) : undefined
  }
  return value === null || value === false || value === 0 || value === '' ? undefined : value
}

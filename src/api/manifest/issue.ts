export type ManifestPath = readonly (string | number)[]

export interface ManifestIssue {
  /**
   * `VM010` wrong value, `VM011` missing field, `VM012` unknown field, `VM013` conflicting fields, `VM015` user data that cannot work,
   * `VM020` not supported yet, `VM040` user data that may not work. docs/errors.md lists all.
   */
  readonly code: string
  /** Absent for an error. A warning rejects nothing. */
  readonly severity?: 'warning'
  /** The path of the invalid key or value; for a missing key, the path that it would have. */
  readonly path: ManifestPath
  readonly message: string
  readonly help?: string
}

/** The value at a path of a plain value. Uses own keys only, since the path comes from the document. */
export function at(value: unknown, path: ManifestPath): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      inner !== null && typeof inner === 'object' && Object.hasOwn(inner, key)
        ? (inner as Record<string | number, unknown>)[key]
        : undefined,
    value,
  )
}

/** Compares two strings by UTF-16 code units, for `toSorted`: independent of the locale. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

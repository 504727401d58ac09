/** Compares two texts by their UTF-16 units, for `toSorted`: the same on every machine, whatever its locale. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

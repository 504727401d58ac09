/** The minimum number of keys per call. A shorter list is returned completely. */
const minKeys = 10
const rounds = 180

/** Returns the next keys of a list, so that each key is returned within `rounds` calls, even if the list changes. */
export function rotation(): (keys: readonly string[]) => readonly string[] {
  let last = ''
  return (keys) => {
    const count = Math.max(minKeys, Math.ceil(keys.length / rounds))
    if (keys.length <= count) return keys
    const sorted = keys.toSorted()
    const start = sorted.findIndex((key) => key > last)
    const turned = start === -1 ? sorted : [...sorted.slice(start), ...sorted.slice(0, start)]
    const given = turned.slice(0, count)
    last = given.at(-1) ?? ''
    return given
  }
}

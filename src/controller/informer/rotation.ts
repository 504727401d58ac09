/** The minimum number of keys per call. A shorter list is returned completely. */
const minKeys = 10
/** With a resync every 10 s, each VM is reconciled at least every half hour. */
const rounds = 180

/** Selects the keys to reconcile in a resync: the next ones of the list, so that each key is selected within `rounds` calls, even if the list changes. */
export function rotation<Key extends string>(): (keys: readonly Key[]) => readonly Key[] {
  let last: string = ''
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

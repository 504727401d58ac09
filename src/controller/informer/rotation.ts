/** A long list has a part of its keys returned each time, a short one all of them. */
const least = 10
const rounds = 180

/** Returns a few keys of a list in turn, so that each key has its turn within so many rounds, however the list changes. */
export function rotation(): (keys: readonly string[]) => readonly string[] {
  let last = ''
  return (keys) => {
    const count = Math.max(least, Math.ceil(keys.length / rounds))
    if (keys.length <= count) return keys
    const sorted = keys.toSorted()
    const start = sorted.findIndex((key) => key > last)
    const turned = start === -1 ? sorted : [...sorted.slice(start), ...sorted.slice(0, start)]
    const given = turned.slice(0, count)
    last = given.at(-1) ?? ''
    return given
  }
}

/** The cost is quadratic in the length, and our words are shorter. */
const longest = 40

/** The word that was probably meant; undefined if none is similar. */
export function closest<Word extends string>(wrong: string, words: readonly Word[]): Word | undefined {
  const given = wrong.slice(0, longest).toLowerCase()
  const [best] = words.map((word) => ({ word, distance: distance(given, word.toLowerCase()) })).toSorted((a, b) => a.distance - b.distance)
  if (best === undefined) return undefined
  return best.distance <= Math.max(1, Math.floor(Math.max(given.length, best.word.length) / 3)) ? best.word : undefined
}

/** The edit distance (optimal string alignment): insertions, deletions, substitutions and swaps. */
function distance(left: string, right: string): number {
  let earlier: number[] = []
  let row = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 0; i < left.length; i += 1) {
    const next = [i + 1]
    for (let j = 1; j <= right.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (left[i] === right[j - 1] ? 0 : 1)
      const isSwap = j > 1 && i > 0 && left[i] === right[j - 2] && left[i - 1] === right[j - 1]
      const swapped = isSwap ? (earlier[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY
      next.push(Math.min(replaced, swapped, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    earlier = row
    row = next
  }
  return row.at(-1) ?? 0
}

import type { Random } from '../../src/ports/random.ts'

/** Everything that is left to chance in one run follows from its seed (mulberry32, of Tommy Ettinger). */
export interface SeededRandom extends Random {
  /** An integer from `least` to `most`, inclusive. */
  int(least: number, most: number): number
  chance(share: number): boolean
  pick<T>(from: readonly T[]): T
}

export function seededRandom(seed: number): SeededRandom {
  let state = Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995
  let uuids = 0

  function next(): number {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  function int(least: number, most: number): number {
    return least + Math.floor(next() * (most - least + 1))
  }

  return {
    next,
    int,
    chance: (share) => next() < share,
    pick: (from) => {
      const found = from[int(0, from.length - 1)]
      if (found === undefined) throw new Error('nothing to pick from')
      return found
    },
    // Counted: a uid in a trace tells which one it was.
    uuid() {
      uuids += 1
      return `${int(0, 0xffff_ffff).toString(16).padStart(8, '0')}-0000-4000-8000-${String(uuids).padStart(12, '0')}`
    },
  }
}

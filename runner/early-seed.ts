import { canonicalJson } from '../src/api/hash.ts'
import type { SlottedNic } from './launch-files.ts'

/**
 * Creates the seed while the runner waits for the broker, and again only if a NIC has another slot by then. The caller that needs the seed gets
 * the error.
 */
export function earlySeed(make: (nics: readonly SlottedNic[]) => Promise<string>): (nics: readonly SlottedNic[]) => Promise<string> {
  let last: { readonly of: string; readonly seed: Promise<string> } | undefined
  return (nics) => {
    const of = canonicalJson(nics)
    if (last?.of === of) return last.seed
    const seed = make(nics)
    seed.catch(() => undefined)
    last = { of, seed }
    return seed
  }
}

import { PortError } from '../../ports/errors.ts'
import { hasLabel, isIndexed, isSame, isUnread, type Store, type Stored } from './store.ts'

/**
 * The maximum age of a read that shows an object to be *absent*. An object that exists is served from the cache at any age, unless it is stale.
 * `live`: Docker is read now. `recent`: a read of the last two seconds suffices. `cached`: the last list suffices, whatever its age.
 */
type Freshness = 'live' | 'recent' | 'cached'

/** With `recent`, VMs that are placed at the same time share one list. */
const maxAgeMs = { live: 0, recent: 2_000, cached: Number.POSITIVE_INFINITY } as const satisfies Record<Freshness, number>

/** With more stale objects than both of these limits, one list is cheaper: dockerd needs about as long for it as for this many single reads. */
const singleReads = 8
const singleReadsShare = 1 / 16

export interface ReadThroughPorts<Item extends Stored> {
  readonly store: Store<Item>
  /** Milliseconds on a clock that never jumps. */
  readonly now: () => number
  readonly list: (signal: AbortSignal | undefined) => Promise<readonly Item[]>
  /** Whether `list` includes the object. Omitted if it includes all. */
  readonly isListed?: (item: Item) => boolean
  /** Reads one object. Without it, a stale object costs a list. */
  readonly get?: (key: string, signal: AbortSignal | undefined) => Promise<Item | undefined>
  /** Whether a write of ours is in flight, so that a change is expected. */
  readonly isExpected: (key: string) => boolean
  /** A list found a change of another writer that no event reported. */
  readonly onMissed: (item: Item) => void
}

/**
 * Reads of one kind of object: from the store if it is fresh enough, otherwise from Docker.
 *
 * *Guarantees*: after `invalidate`, no call returns the object as it was read before. A failed read changes nothing and throws. An object never
 * returns to an older version, except in the first list after `invalidateAll`, because the Swarm may have been restored from a backup.
 * *Caveats*: a list may lack an object that was created without an event since the last list. A list by an indexed label does not wait for stale
 * objects that had another value of the label when they were cached.
 */
export interface ReadThrough<Item extends Stored> {
  /** Freshness is `live` by default. */
  get(key: string, freshness?: Freshness, signal?: AbortSignal): Promise<Item | undefined>
  /** Freshness is `cached` by default. `label` is `key` or `key=value`. */
  list(
    options?: { readonly label?: string | undefined; readonly freshness?: 'recent' | 'cached' },
    signal?: AbortSignal,
  ): Promise<readonly Item[]>
  /** Lists everything now. Returns the objects that changed, appeared or disappeared. */
  relist(signal?: AbortSignal): Promise<readonly Item[]>
  /** Reads the object again and returns it. Throws Conflict if it differs from `known`. */
  verify(known: Item, signal?: AbortSignal): Promise<Item>
  /** The object may have changed, so the next call reads it again. */
  invalidate(key: string): void
  /** Any object may have changed, and events may have been lost. */
  invalidateAll(): void
  /** Stores the result of our write, or invalidates the object if it was read meanwhile. `before` is the cached object when the write began. */
  wrote(key: string, item: Item | undefined, before: Item | undefined): void
}

/** The start of a read: its place in the order of reads and invalidations, and its time. */
interface Began {
  readonly order: number
  readonly atMs: number
}

const never: Began = { order: 0, atMs: Number.NEGATIVE_INFINITY }

export function readThrough<Item extends Stored>(ports: ReadThroughPorts<Item>): ReadThrough<Item> {
  const { store, now } = ports
  /** Counts reads and invalidations. A read covers the invalidations before it, and does not replace the result of a later read. */
  let order = 0
  const stale = new Map<string, number>()
  let allStale = 0
  let lastList = never
  /** The last single read of each object, if it began after the last list. */
  const singles = new Map<string, Began>()
  /** Reads in flight, by key; the list under `undefined`. */
  const inFlight = new Map<string | undefined, Promise<readonly Item[]>>()

  const begin = (): Began => ({ order: (order += 1), atMs: now() })
  const lastReadOf = (key: string): Began => singles.get(key) ?? lastList
  const isSynced = (): boolean => lastList.order > allStale
  const maxStale = (): number => (ports.get === undefined ? 0 : Math.max(singleReads, store.size() * singleReadsShare))
  const isListDue = (): boolean => !isSynced() || stale.size > maxStale()
  const invalidate = (key: string): void => void stale.set(key, (order += 1))

  function markFresh(key: string, began: Began): void {
    if ((stale.get(key) ?? 0) < began.order) stale.delete(key)
  }

  /** Ignores an older version, which a manager that lags behind may return. */
  function putNewer(item: Item): void {
    const cached = store.get(store.keyOf(item))
    if (cached?.id !== item.id || cached.version <= item.version) store.put(item)
  }

  /** Docker also finds a service by id, so the key comes from the answer. */
  function applyOne(requested: string, item: Item | undefined, began: Began): Item | undefined {
    const key = item === undefined ? requested : store.keyOf(item)
    markFresh(requested, began)
    if (began.order > lastReadOf(key).order) {
      singles.set(key, began)
      markFresh(key, began)
      if (item === undefined) store.remove(key)
      else putNewer(item)
    }
    return store.get(key)
  }

  /** Returns the changed objects. */
  function applyList(listed: readonly Item[], began: Began): readonly Item[] {
    const found = new Map(listed.map((item) => [store.keyOf(item), item]))
    const keys = [...new Set([...found.keys(), ...store.keys()])].filter((key) => lastReadOf(key).order < began.order)
    const changed = keys.flatMap((key) => applyListed(key, found.get(key), began) ?? [])
    if (isSynced()) for (const item of changed) if (isUnexpected(store.keyOf(item))) ports.onMissed(item)
    for (const key of stale.keys()) markFresh(key, began)
    for (const [key, read] of singles) if (read.order < began.order) singles.delete(key)
    lastList = began
    return changed
  }

  /** Returns the object if it changed, or the previous one if it disappeared. An object that lists do not include cannot disappear. */
  function applyListed(key: string, item: Item | undefined, began: Began): Item | undefined {
    const before = store.get(key)
    if (item === undefined) store.remove(key)
    else if (isSynced()) putNewer(item)
    else store.put(item)
    // An object that is missing from a filtered list may only have lost its label, so the list does not prove its absence.
    if (item === undefined && ports.isListed !== undefined) singles.set(key, { ...began, atMs: Number.NEGATIVE_INFINITY })
    const after = store.get(key)
    if (after !== undefined) return isSame(before, after) ? undefined : after
    return before !== undefined && ports.isListed?.(before) !== false ? before : undefined
  }

  const isUnexpected = (key: string): boolean => !stale.has(key) && !ports.isExpected(key)

  /** Joins the read in flight, or begins one. Undefined if the joined read failed: its first caller gets the error. */
  function shared(key: string | undefined, read: (began: Began) => Promise<readonly Item[]>): Promise<readonly Item[] | undefined> {
    const running = inFlight.get(key)
    if (running !== undefined) return running.catch(() => undefined)
    const begun = read(begin()).finally(() => inFlight.delete(key))
    inFlight.set(key, begun)
    return begun
  }

  function readOne(key: string, get: NonNullable<typeof ports.get>, signal: AbortSignal | undefined): Promise<readonly Item[] | undefined> {
    return shared(key, async (began) => {
      const cached = applyOne(key, await get(key, signal), began)
      return cached === undefined ? [] : [cached]
    })
  }

  const readAll = (signal: AbortSignal | undefined): Promise<readonly Item[] | undefined> =>
    shared(undefined, async (began) => applyList(await ports.list(signal), began))

  /** Does not join a read that began before the call, because its result may be too old. */
  async function readNow(key: string | undefined, read: () => Promise<readonly Item[] | undefined>): Promise<readonly Item[]> {
    while (inFlight.has(key)) await inFlight.get(key)?.catch(() => undefined)
    for (;;) {
      const found = await read()
      if (found !== undefined) return found
    }
  }

  async function get(key: string, freshness: Freshness = 'live', signal?: AbortSignal): Promise<Item | undefined> {
    for (;;) {
      while (isListDue()) await readAll(signal)
      const cached = store.get(key)
      const isFresh = cached !== undefined || now() - lastReadOf(key).atMs < maxAgeMs[freshness]
      if (ports.get === undefined || (isFresh && !stale.has(key))) return cached
      const read = await readOne(key, ports.get, signal)
      if (read !== undefined && !stale.has(key)) return read[0]
    }
  }

  const relist = (signal?: AbortSignal): Promise<readonly Item[]> => readNow(undefined, () => readAll(signal))

  /** An object that is not cached may have any label. */
  function mayMatch(key: string, label: string | undefined): boolean {
    const cached = store.get(key)
    return label === undefined || cached === undefined || !isIndexed(label) || hasLabel(cached, label)
  }

  return {
    get,
    relist,
    invalidate,
    invalidateAll: () => void (allStale = order += 1),
    async list({ label, freshness = 'cached' } = {}, signal) {
      // Computed once, because a list may take longer than the maximum age.
      const sinceMs = now() - maxAgeMs[freshness]
      while (isListDue() || lastList.atMs <= sinceMs) await readAll(signal)
      const awaited = [...stale.keys()].filter((key) => mayMatch(key, label))
      await Promise.all(awaited.map((key) => get(key, 'cached', signal)))
      return store.list(label)
    },
    async verify(known, signal) {
      const key = store.keyOf(known)
      const { get: getOne } = ports
      if (getOne === undefined) await relist(signal)
      else await readNow(key, () => readOne(key, getOne, signal))
      const read = store.get(key)
      // After the answer of a lagging manager the cache still has our own write, whose version Docker does not know.
      if (read !== undefined && !isUnread(read) && isSame(known, read)) return read
      throw new PortError('Conflict', `${key} changed since it was read`)
    },
    wrote(key, item, before) {
      const isUntouched = !inFlight.has(key) && !inFlight.has(undefined) && store.get(key) === before
      if (item !== undefined && isUntouched) store.put(item)
      else invalidate(key)
    },
  }
}

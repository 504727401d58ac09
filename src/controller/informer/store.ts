import { objectLabels } from '../../api/labels.ts'
import type { Labels, ObjectVersion } from '../../ports/swarm.ts'

/** The fields that every kind of Swarm object has. */
export interface Stored {
  readonly id: string
  readonly version: ObjectVersion
  readonly labels: Labels
}

/**
 * The version of an object that is only known from our own write on version `base`, since Docker's answer has none. A lagging manager's older
 * version does not replace it. It is read before it is written again.
 */
export function writtenOn(base: ObjectVersion): ObjectVersion {
  return base + 0.5
}

/** Whether the object is only known from our own write. Docker's versions are integers. */
export function isUnread({ version }: Pick<Stored, 'version'>): boolean {
  return !Number.isInteger(version)
}

/** Each run selects by these labels. Without an index, a pass over all VMs would take quadratic time. */
const indexedLabels: readonly string[] = [objectLabels.vm, objectLabels.component]

export type StoreListener<Item> = (key: string, item: Item | undefined) => void

/**
 * The cached objects of one kind, by key and by label. The store does no I/O and does not know which objects are stale.
 *
 * *Guarantees*: between two changes, `list` returns the same array for the same label. Callers may memoise by its identity.
 */
export interface Store<Item extends Stored> {
  readonly keyOf: (item: Item) => string
  size(): number
  get(key: string): Item | undefined
  keyOfId(id: string): string | undefined
  keys(): Iterable<string>
  /** `label` is `key` or `key=value`, as in Docker's filters. Without a label, all objects. */
  list(label?: string): readonly Item[]
  /** Adds or replaces the object. */
  put(item: Item): void
  remove(key: string): void
  /** Calls back after each change; `undefined` means that the object is gone. */
  subscribe(listener: StoreListener<Item>): void
}

export function store<Item extends Stored>(keyOf: (item: Item) => string): Store<Item> {
  const items = new Map<string, Item>()
  const keys = new Map<string, string>()
  const index = new Map<string, Map<string, Item>>()
  const listeners = new Set<StoreListener<Item>>()
  let revision = 0
  let lists = { revision, byLabel: new Map<string, readonly Item[]>() }

  function changed(key: string, item: Item | undefined): void {
    revision += 1
    for (const listener of listeners) listener(key, item)
  }

  function remove(key: string): Item | undefined {
    const item = items.get(key)
    if (item === undefined) return undefined
    items.delete(key)
    keys.delete(item.id)
    for (const entry of indexEntries(item)) {
      index.get(entry)?.delete(key)
      if (index.get(entry)?.size === 0) index.delete(entry)
    }
    return item
  }

  function add(key: string, item: Item): void {
    items.set(key, item)
    keys.set(item.id, key)
    for (const entry of indexEntries(item)) index.set(entry, (index.get(entry) ?? new Map<string, Item>()).set(key, item))
  }

  function select(label: string | undefined): readonly Item[] {
    if (label === undefined) return [...items.values()]
    if (isIndexed(label)) return [...(index.get(label)?.values() ?? [])]
    return [...items.values()].filter((item) => hasLabel(item, label))
  }

  return {
    keyOf,
    size: () => items.size,
    get: (key) => items.get(key),
    keyOfId: (id) => keys.get(id),
    keys: () => items.keys(),
    list(label) {
      if (lists.revision !== revision) lists = { revision, byLabel: new Map() }
      const found = lists.byLabel.get(label ?? '') ?? select(label)
      lists.byLabel.set(label ?? '', found)
      return found
    },
    put(item) {
      const key = keyOf(item)
      if (items.get(key) === item) return
      remove(key)
      add(key, item)
      changed(key, item)
    },
    remove(key) {
      if (remove(key) !== undefined) changed(key, undefined)
    },
    subscribe: (listener) => void listeners.add(listener),
  }
}

/** Whether the store has an index for this `key=value`. */
export function isIndexed(label: string): boolean {
  return indexedLabels.some((key) => label.startsWith(`${key}=`))
}

/** `label` is `key` or `key=value`. */
export function hasLabel({ labels }: Stored, label: string): boolean {
  const [key = '', ...rest] = label.split('=')
  return rest.length === 0 ? Object.hasOwn(labels, key) : labels[key] === rest.join('=')
}

/** Whether `read` equals the cached object. If its version is unknown, the labels are compared. */
export function isSame(cached: Stored | undefined, read: Stored): boolean {
  if (cached?.id !== read.id) return false
  return isUnread(cached) ? haveSameLabels(cached.labels, read.labels) : cached.version === read.version
}

function haveSameLabels(some: Labels, others: Labels): boolean {
  return Object.keys({ ...some, ...others }).every((key) => some[key] === others[key])
}

function indexEntries({ labels }: Stored): readonly string[] {
  return indexedLabels.flatMap((key) => (labels[key] === undefined ? [] : [`${key}=${labels[key]}`]))
}

import { objectLabels } from '../../api/labels.ts'
import type { Labels, ObjectVersion } from '../../ports/swarm.ts'

export interface Stored {
  readonly id: string
  readonly version: ObjectVersion
  readonly name: string
  readonly labels: Labels
}

/** Every run of every VM asks for its own, and some for the few of a component: to go through all of them each time would cost the square of their number. */
export const filedBy = [objectLabels.vm, objectLabels.component] as const
type FiledBy = (typeof filedBy)[number]

/** Of an object that is known from the answer to our own write, which tells no version: it is read before it is written to again. */
export const unreadVersion: ObjectVersion = 0

export interface ShelfPorts<Item extends Stored> {
  /** Milliseconds by a clock that does not jump. */
  readonly now: () => number
  readonly list: (signal: AbortSignal | undefined) => Promise<readonly Item[]>
  /** Where the list is only of some: one that another object's name keeps from being made may be in no list. */
  readonly isListed?: (item: Item) => boolean
  /** One object by name; without it every doubt is a new list. */
  readonly get?: (name: string, signal: AbortSignal | undefined) => Promise<Item | undefined>
}

/**
 * The objects of one kind as they were last read, and which of them are in doubt.
 *
 * *Guarantees*: what is given was read after every doubt about it that was raised before the call. A list that fails changes nothing and is
 * thrown. An object does not go back to an older version of itself while events come. One that is asked for by name and not known is asked of Docker.
 * *Caveats*: presence is as old as the last list, less what was doubted; so an absence from a list proves nothing. Of one VM's objects those are
 * certain that were known as the VM's before the doubt.
 */
export interface Shelf<Item extends Stored> {
  all(signal?: AbortSignal): Promise<readonly Item[]>
  /** As `all`, from a list that was begun no longer ago than this: events may have been silent. */
  recent(withinMs: number, signal?: AbortSignal): Promise<readonly Item[]>
  /** Until `recent` would give what is held, without giving it. */
  refresh(withinMs: number, signal?: AbortSignal): Promise<void>
  /** Those with this value of a label that is filed by. */
  filed(by: FiledBy, value: string, signal?: AbortSignal): Promise<readonly Item[]>
  /** Calls back whenever another object, or none, is held by a name. */
  watch(listener: (name: string, item: Item | undefined) => void): void
  /** What is not known is asked of Docker, where single objects can be: then undefined is Docker's own answer. */
  byName(name: string, signal?: AbortSignal): Promise<Item | undefined>
  /** As `byName`, but what was absent in a read that was begun no longer ago than this, and is not in doubt since, is not asked for again. */
  byNameRecently(name: string, withinMs: number, signal?: AbortSignal): Promise<Item | undefined>
  /** Something may have happened to it: it is read again before it is given again. */
  doubt(name: string): void
  /** A write of ours is about to be sent: until it has ended, what lists find changed of it is no surprise. Gives what is held of it. */
  expect(name: string): Item | undefined
  /** The write that was expected is made, and this is the object now; undefined where that has to be read, as it is where a read came in between. */
  wrote(name: string, item: Item | undefined, before: Item | undefined): void
  /** Everything may have changed. */
  doubtAll(): void
  nameOf(id: string): string | undefined
  /** Reads everything; answers what changed, came or went. */
  relist(signal?: AbortSignal): Promise<Relisted<Item>>
}

export interface Relisted<Item> {
  /** Since it was last read; and what another list has found since the last relist, and nobody had doubted. */
  readonly changed: readonly Item[]
  /** Those that nobody had doubted: neither an event told of them nor did we write them. */
  readonly unheard: readonly Item[]
}

/** More doubts than this at once, and than this share of all, are one list: dockerd gives about so many single objects in the time of one list. */
const singly = 8
const singlyShare = 1 / 16

export function shelf<Item extends Stored>(ports: ShelfPorts<Item>): Shelf<Item> {
  let items = new Map<string, Item>()
  let names = new Map<string, string>()
  const files = new Map<string, Map<string, Item>>()
  const listeners = new Set<(name: string, item: Item | undefined) => void>()
  let doubts = new Set<string>()
  let isWhole = false
  let listedMs = 0
  let listing: Promise<unknown> | undefined
  // Lists are made for many reasons, and only a relist has somebody who looks at what it found.
  let unheard = new Map<string, Item>()
  /** The list that `items` are, as long as they are nothing else. */
  let asListed: readonly Item[] | undefined
  /** `items` as a list; undefined when they change. The same for those of one label's value. */
  let given: readonly Item[] | undefined
  const givenFiled = new Map<string, readonly Item[]>()
  const fetching = new Map<string, Promise<Item | undefined>>()
  const expected = new Set<string>()
  // When a read was begun that did not find it; for all others it is the list.
  const absences = new Map<string, number>()

  function put(item: Item): void {
    // A manager that lags behind answers with what was.
    if (newer(items.get(item.name), item) === item) replace(item)
  }

  function replace(item: Item): void {
    const held = items.get(item.name)
    if (held !== undefined) forget(held)
    moved()
    items.set(item.name, item)
    names.set(item.id, item.name)
    file(files, item)
    tell(item.name, item)
  }

  function tell(name: string, item: Item | undefined): void {
    for (const listener of listeners) listener(name, item)
  }

  function moved(): void {
    asListed = undefined
    given = undefined
    givenFiled.clear()
  }

  function everything(): readonly Item[] {
    given ??= [...items.values()]
    return given
  }

  function forget(item: Item): void {
    names.delete(item.id)
    for (const key of keysOf(item)) {
      const filed = files.get(key)
      filed?.delete(item.name)
      if (filed?.size === 0) files.delete(key)
    }
  }

  function drop(name: string): void {
    const held = items.get(name)
    if (held === undefined) return
    moved()
    forget(held)
    items.delete(name)
    tell(name, undefined)
  }

  /** What is not in a list of some may only have lost what it was listed for, and what never was in one is still there as far as is known. */
  function keepUnlisted(before: ReadonlyMap<string, Item>, after: Map<string, Item>): void {
    if (ports.isListed === undefined) return
    for (const item of before.values()) {
      if (after.has(item.name)) continue
      doubts.add(item.name)
      if (!ports.isListed(item)) after.set(item.name, item)
    }
  }

  /** Doubts that are raised while a read is under way are not answered by it. */
  function takeDoubts(): ReadonlySet<string> {
    const taken = doubts
    doubts = new Set()
    return taken
  }

  async function readAll(signal: AbortSignal | undefined): Promise<readonly Item[]> {
    const taken = takeDoubts()
    const wasWhole = isWhole
    isWhole = true
    const begunMs = ports.now()
    try {
      const read = await ports.list(signal)
      listedMs = begunMs
      absences.clear()
      // Given again as it was, and nothing was read since.
      if (read === asListed) return []
      // A gap in the events may be a Swarm that was restored from a backup: then older versions are the truth.
      const before = items
      const after = new Map(read.map((item) => [item.name, wasWhole ? newer(before.get(item.name), item) : item]))
      keepUnlisted(before, after)
      items = after
      names = new Map([...after.values()].map((item) => [item.id, item.name]))
      files.clear()
      for (const item of after.values()) file(files, item)
      for (const item of after.values()) if (before.get(item.name) !== item) tell(item.name, item)
      for (const name of before.keys()) if (!after.has(name)) tell(name, undefined)
      const changed = changesBetween(before, after)
      moved()
      if (after.size === read.length && read.every((item) => after.get(item.name) === item)) asListed = read
      const isHeard = (name: string): boolean => taken.has(name) || doubts.has(name) || expected.has(name)
      if (wasWhole) for (const item of changed) if (!isHeard(item.name)) unheard.set(item.name, item)
      return changed
    } catch (error) {
      if (!wasWhole) isWhole = false
      for (const one of taken) doubts.add(one)
      throw error
    }
  }

  function fetchOne(get: NonNullable<ShelfPorts<Item>['get']>, name: string, signal: AbortSignal | undefined): Promise<Item | undefined> {
    doubts.delete(name)
    const begunMs = ports.now()
    const read = get(name, signal)
      .then((found) => {
        if (found !== undefined) put(found)
        else {
          drop(name)
          absences.set(name, begunMs)
        }
        return found
      })
      .catch((error: unknown) => {
        doubts.add(name)
        throw error
      })
      .finally(() => fetching.delete(name))
    fetching.set(name, read)
    return read
  }

  const underWay = (): Promise<unknown> | undefined => listing
  const most = (): number => (ports.get === undefined ? 0 : Math.max(singly, items.size * singlyShare))
  const isListDue = (): boolean => !isWhole || doubts.size > most()

  /** Nobody reads single objects while all are listed: what is older than the list would win over it. */
  async function listAlone(signal: AbortSignal | undefined): Promise<readonly Item[]> {
    const read = Promise.allSettled(fetching.values()).then(() => readAll(signal))
    listing = read
    try {
      return await read
    } finally {
      listing = undefined
    }
  }

  async function settleLists(signal: AbortSignal | undefined): Promise<void> {
    while (underWay() !== undefined || isListDue()) {
      const read = underWay()
      if (read === undefined) await listAlone(signal)
      else await read.catch(() => undefined)
    }
  }

  /** Until a read that began after the last doubt about it has ended; gives it where it was made here. */
  async function settleOne(name: string, signal: AbortSignal | undefined): Promise<{ found: Item | undefined } | undefined> {
    for (;;) {
      await settleLists(signal)
      const read = fetching.get(name)
      const isDoubted = doubts.has(name)
      if (read === undefined && !isDoubted) return undefined
      // Begun before the doubt, or by somebody else, who hears of it if it fails.
      if (read !== undefined) await read.catch(() => undefined)
      if (read !== undefined || ports.get === undefined) continue
      return { found: await fetchOne(ports.get, name, signal) }
    }
  }

  /** Who asks while another's question is under way shares the answer: it is given after both asked. */
  async function sure(name: string, withinMs: number, signal: AbortSignal | undefined): Promise<Item | undefined> {
    const read = await settleOne(name, signal)
    const held = items.get(name)
    if (held !== undefined || read !== undefined || ports.get === undefined) return held ?? read?.found
    if (ports.now() - Math.max(listedMs, absences.get(name) ?? listedMs) < withinMs) return undefined
    if (withinMs > 0 && absences.size > most()) {
      await (underWay() ?? listAlone(signal))
      return sure(name, withinMs, signal)
    }
    const found = await (fetching.get(name) ?? fetchOne(ports.get, name, signal))
    return items.get(name) ?? found
  }

  /** What is doubted from now on is not waited for: others write all the time. */
  async function settle(signal: AbortSignal | undefined, concerns: (name: string) => boolean = () => true): Promise<void> {
    await settleLists(signal)
    const names = [...new Set([...doubts, ...fetching.keys()])].filter(concerns)
    await Promise.all(names.map((name) => settleOne(name, signal)))
  }

  /** Whose an unknown one is, only its labels will tell. */
  function mayHave(by: FiledBy, value: string, name: string): boolean {
    const held = items.get(name)
    return held === undefined || held.labels[by] === value
  }

  async function refresh(withinMs: number, signal: AbortSignal | undefined): Promise<void> {
    const isOld = (): boolean => ports.now() - listedMs > withinMs
    for (let read = underWay(); isOld() && read !== undefined; read = underWay()) await read.catch(() => undefined)
    if (isOld()) await listAlone(signal)
    await settle(signal)
  }

  return {
    refresh,
    async recent(withinMs, signal) {
      await refresh(withinMs, signal)
      return everything()
    },
    async all(signal) {
      await settle(signal)
      return everything()
    },
    async filed(by, value, signal) {
      await settle(signal, (name) => mayHave(by, value, name))
      const key = `${by}=${value}`
      const found = givenFiled.get(key) ?? [...(files.get(key)?.values() ?? [])]
      givenFiled.set(key, found)
      return found
    },
    watch: (listener) => void listeners.add(listener),
    byName: (name, signal) => sure(name, 0, signal),
    byNameRecently: (name, withinMs, signal) => sure(name, withinMs, signal),
    doubt: (name) => void doubts.add(name),
    expect(name) {
      expected.add(name)
      return items.get(name)
    },
    wrote(name, item, before) {
      expected.delete(name)
      const isAlone = listing === undefined && !fetching.has(name) && items.get(name) === before
      if (item !== undefined && isAlone) replace(item)
      else doubts.add(name)
    },
    doubtAll: () => void (isWhole = false),
    nameOf: (id) => names.get(id),
    async relist(signal) {
      for (let read = underWay(); read !== undefined; read = underWay()) await read.catch(() => undefined)
      const changed = await listAlone(signal)
      const told = unheard
      unheard = new Map()
      return { changed: [...new Set([...changed, ...told.values()])], unheard: [...told.values()] }
    },
  }
}

function keysOf({ labels }: Stored): readonly string[] {
  return filedBy.flatMap((by) => (labels[by] === undefined ? [] : [`${by}=${labels[by]}`]))
}

function file<Item extends Stored>(files: Map<string, Map<string, Item>>, item: Item): void {
  for (const key of keysOf(item)) {
    const filed = files.get(key)
    if (filed === undefined) files.set(key, new Map([[item.name, item]]))
    else filed.set(item.name, item)
  }
}

function newer<Item extends Stored>(held: Item | undefined, read: Item): Item {
  return held?.id === read.id && held.version > read.version ? held : read
}

/** Of one whose version is not known the labels have to tell. */
export function isSame(held: Stored | undefined, read: Stored): boolean {
  if (held?.id !== read.id) return false
  return held.version === unreadVersion ? hasLabels(held, read.labels) && hasLabels(read, held.labels) : held.version === read.version
}

function hasLabels({ labels }: Stored, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value)
}

function changesBetween<Item extends Stored>(before: ReadonlyMap<string, Item>, after: ReadonlyMap<string, Item>): readonly Item[] {
  const came = [...after.values()].filter((one) => !isSame(before.get(one.name), one))
  return [...came, ...[...before.values()].filter((one) => !after.has(one.name))]
}

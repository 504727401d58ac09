import { objectLabels } from '../../api/labels.ts'
import type { Labels, ObjectVersion } from '../../ports/swarm.ts'

export interface Stored {
  readonly id: string
  readonly version: ObjectVersion
  readonly name: string
  readonly labels: Labels
}

export interface ShelfPorts<Item extends Stored> {
  /** Milliseconds by a clock that does not jump. */
  readonly now: () => number
  readonly list: (signal: AbortSignal | undefined) => Promise<readonly Item[]>
  /** One object by name; without it every doubt is a new list. */
  readonly get?: (name: string, signal: AbortSignal | undefined) => Promise<Item | undefined>
}

/**
 * The objects of one kind as they were last read, and which of them are in doubt.
 *
 * *Guarantees*: what is given was read after every doubt about it that was raised before the call. A list that fails changes nothing and is
 * thrown. An object does not go back to an older version of itself while events come. One that is asked for by name and not known is asked of Docker.
 * *Caveats*: presence is as old as the last list, less what was doubted; so an absence from a list proves nothing.
 */
export interface Shelf<Item extends Stored> {
  all(signal?: AbortSignal): Promise<readonly Item[]>
  /** As `all`, from a list that was begun no longer ago than this: events may have been silent. */
  recent(withinMs: number, signal?: AbortSignal): Promise<readonly Item[]>
  /** Those that are labelled with this VM. */
  ofVm(vm: string, signal?: AbortSignal): Promise<readonly Item[]>
  /** What is not known is asked of Docker, where single objects can be: then undefined is Docker's own answer. */
  byName(name: string, signal?: AbortSignal): Promise<Item | undefined>
  /** Something may have happened to it: it is read again before it is given again. */
  doubt(name: string): void
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
  // Every run of every VM asks for its own: to go through all of them each time would cost the square of their number.
  let vms = new Map<string | undefined, Map<string, Item>>()
  let doubts = new Set<string>()
  let isWhole = false
  let listedMs = 0
  let listing: Promise<unknown> | undefined
  // Lists are made for many reasons, and only a relist has somebody who looks at what it found.
  let unheard = new Map<string, Item>()
  /** The list that `items` are, as long as they are nothing else. */
  let asListed: readonly Item[] | undefined
  /** `items` as a list; undefined when they change. */
  let given: readonly Item[] | undefined
  const fetching = new Map<string, Promise<Item | undefined>>()

  function put(item: Item): void {
    const held = items.get(item.name)
    // A manager that lags behind answers with what was.
    if (held?.id === item.id && held.version > item.version) return
    if (held !== undefined) forget(held)
    moved()
    items.set(item.name, item)
    names.set(item.id, item.name)
    file(vms, item)
  }

  function moved(): void {
    asListed = undefined
    given = undefined
  }

  function everything(): readonly Item[] {
    given ??= [...items.values()]
    return given
  }

  function forget(item: Item): void {
    names.delete(item.id)
    const vm = item.labels[objectLabels.vm]
    const filed = vms.get(vm)
    filed?.delete(item.name)
    if (filed?.size === 0) vms.delete(vm)
  }

  function drop(name: string): void {
    const held = items.get(name)
    if (held === undefined) return
    moved()
    forget(held)
    items.delete(name)
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
      // Given again as it was, and nothing was read since.
      if (read === asListed) return []
      // A gap in the events may be a Swarm that was restored from a backup: then older versions are the truth.
      const before = items
      const after = new Map(read.map((item) => [item.name, wasWhole ? newer(before.get(item.name), item) : item]))
      items = after
      names = new Map([...after.values()].map((item) => [item.id, item.name]))
      vms = new Map()
      for (const item of after.values()) file(vms, item)
      const changed = changesBetween(before, after)
      moved()
      if (read.every((item) => after.get(item.name) === item)) asListed = read
      if (wasWhole) for (const item of changed) if (!taken.has(item.name)) unheard.set(item.name, item)
      return changed
    } catch (error) {
      if (!wasWhole) isWhole = false
      for (const one of taken) doubts.add(one)
      throw error
    }
  }

  function fetchOne(get: NonNullable<ShelfPorts<Item>['get']>, name: string, signal: AbortSignal | undefined): Promise<Item | undefined> {
    doubts.delete(name)
    const read = get(name, signal)
      .then((found) => {
        if (found === undefined) drop(name)
        else put(found)
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
  const isListDue = (): boolean => {
    const most = ports.get === undefined ? 0 : Math.max(singly, items.size * singlyShare)
    return !isWhole || doubts.size > most
  }

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
  async function sure(name: string, signal: AbortSignal | undefined): Promise<Item | undefined> {
    const read = await settleOne(name, signal)
    const held = items.get(name)
    if (held !== undefined || read !== undefined || ports.get === undefined) return held ?? read?.found
    const found = await (fetching.get(name) ?? fetchOne(ports.get, name, signal))
    return items.get(name) ?? found
  }

  /** What is doubted from now on is not waited for: others write all the time. */
  async function settle(signal: AbortSignal | undefined): Promise<void> {
    await settleLists(signal)
    await Promise.all([...new Set([...doubts, ...fetching.keys()])].map((name) => settleOne(name, signal)))
  }

  return {
    async recent(withinMs, signal) {
      const isOld = (): boolean => ports.now() - listedMs > withinMs
      for (let read = underWay(); isOld() && read !== undefined; read = underWay()) await read.catch(() => undefined)
      if (isOld()) await listAlone(signal)
      await settle(signal)
      return everything()
    },
    async all(signal) {
      await settle(signal)
      return everything()
    },
    async ofVm(vm, signal) {
      await settle(signal)
      return [...(vms.get(vm)?.values() ?? [])]
    },
    byName: sure,
    doubt: (name) => void doubts.add(name),
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

function file<Item extends Stored>(vms: Map<string | undefined, Map<string, Item>>, item: Item): void {
  const vm = item.labels[objectLabels.vm]
  const filed = vms.get(vm)
  if (filed === undefined) vms.set(vm, new Map([[item.name, item]]))
  else filed.set(item.name, item)
}

function newer<Item extends Stored>(held: Item | undefined, read: Item): Item {
  return held?.id === read.id && held.version > read.version ? held : read
}

function changesBetween<Item extends Stored>(before: ReadonlyMap<string, Item>, after: ReadonlyMap<string, Item>): readonly Item[] {
  const came = [...after.values()].filter((one) => {
    const held = before.get(one.name)
    return held?.id !== one.id || held.version !== one.version
  })
  return [...came, ...[...before.values()].filter((one) => !after.has(one.name))]
}

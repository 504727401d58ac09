import type { Labels, ObjectVersion } from '../../ports/swarm.ts'

export interface Stored {
  readonly id: string
  readonly version: ObjectVersion
  readonly name: string
  readonly labels: Labels
}

export interface ShelfPorts<Item extends Stored> {
  readonly list: (signal: AbortSignal | undefined) => Promise<readonly Item[]>
  /** One object by name; without it every doubt is a new list. */
  readonly get?: (name: string, signal: AbortSignal | undefined) => Promise<Item | undefined>
}

/**
 * The objects of one kind as they were last read, and which of them are in doubt.
 *
 * *Guarantees*: what is given was read after every doubt about it that was raised before the call. A list that fails changes nothing and is
 * thrown. An object does not go back to an older version of itself while events come. *Caveats*: presence is as old as the last list, less what was doubted; so
 * an absence here proves nothing, and whoever acts on one asks Docker.
 */
export interface Shelf<Item extends Stored> {
  all(signal?: AbortSignal): Promise<readonly Item[]>
  /** Undefined where it is not known; Docker may have it. */
  byName(name: string, signal?: AbortSignal): Promise<Item | undefined>
  /** Something may have happened to it: it is read again before it is given again. */
  doubt(name: string): void
  /** Everything may have changed. */
  doubtAll(): void
  nameOf(id: string): string | undefined
  /** Reads everything; answers the labels and names of what changed, came or went since it was last read. */
  relist(signal?: AbortSignal): Promise<readonly Item[]>
}

/** More doubts than this at once are one list. */
const singly = 8

export function shelf<Item extends Stored>(ports: ShelfPorts<Item>): Shelf<Item> {
  let items = new Map<string, Item>()
  let names = new Map<string, string>()
  let doubts = new Set<string>()
  let isWhole = false
  let reading: Promise<unknown> | undefined

  function put(item: Item): void {
    const held = items.get(item.name)
    // A manager that lags behind answers with what was.
    if (held?.id === item.id && held.version > item.version) return
    if (held !== undefined) names.delete(held.id)
    items.set(item.name, item)
    names.set(item.id, item.name)
  }

  function drop(name: string): void {
    const held = items.get(name)
    if (held !== undefined) names.delete(held.id)
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
    try {
      const read = await ports.list(signal)
      // A gap in the events may be a Swarm that was restored from a backup: then older versions are the truth.
      const before = items
      const after = new Map(read.map((item) => [item.name, wasWhole ? newer(before.get(item.name), item) : item]))
      items = after
      names = new Map([...after.values()].map((item) => [item.id, item.name]))
      return changesBetween(before, after)
    } catch (error) {
      if (!wasWhole) isWhole = false
      for (const one of taken) doubts.add(one)
      throw error
    }
  }

  async function readDoubts(get: NonNullable<ShelfPorts<Item>['get']>, signal: AbortSignal | undefined): Promise<void> {
    const taken = takeDoubts()
    try {
      for (const name of taken) {
        const found = await get(name, signal)
        if (found === undefined) drop(name)
        else put(found)
      }
    } catch (error) {
      for (const one of taken) doubts.add(one)
      throw error
    }
  }

  const underWay = (): Promise<unknown> | undefined => reading

  /** One read at a time; who comes meanwhile waits for it and looks again, since it may not answer their doubts. */
  async function settle(signal: AbortSignal | undefined): Promise<void> {
    while (underWay() !== undefined || !isWhole || doubts.size > 0) {
      const read = underWay()
      if (read !== undefined) {
        await read.catch(() => undefined)
        continue
      }
      const { get } = ports
      const next: Promise<unknown> = isWhole && get !== undefined && doubts.size <= singly ? readDoubts(get, signal) : readAll(signal)
      await alone(next)
    }
  }

  async function alone<Value>(read: Promise<Value>): Promise<Value> {
    reading = read
    try {
      return await read
    } finally {
      reading = undefined
    }
  }

  return {
    async all(signal) {
      await settle(signal)
      return [...items.values()]
    },
    async byName(name, signal) {
      await settle(signal)
      return items.get(name)
    },
    doubt: (name) => void doubts.add(name),
    doubtAll: () => void (isWhole = false),
    nameOf: (id) => names.get(id),
    async relist(signal) {
      for (let read = underWay(); read !== undefined; read = underWay()) await read.catch(() => undefined)
      return alone(readAll(signal))
    },
  }
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

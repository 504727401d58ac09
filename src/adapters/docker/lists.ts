import { createHash, hash as hashOnce } from 'node:crypto'
import type { ByteStream, Call } from './call.ts'
import { readList } from './read.ts'

/** Maximum number of cached lists: one per kind, and the tasks of some nodes. */
const maxLists = 64

/**
 * Caches lists by their bytes. The same bytes return the same list, and an unchanged element in a changed list returns the same object. Only changed
 * elements are parsed.
 */
export interface Lists {
  read<Item>(call: Call, item: (raw: unknown) => Item): Promise<readonly Item[]>
}

interface CachedList {
  readonly hash: string
  readonly items: readonly unknown[]
  /** Elements by the hash of their bytes. */
  readonly byHash: ReadonlyMap<string, unknown>
}

/** `ask` returns the answer as a stream of bytes, or parsed if the transport has no bytes. */
export function cachedLists(ask: (call: Call) => Promise<unknown>): Lists {
  const cached = new Map<string, CachedList>()

  function store(key: string, one: CachedList): void {
    cached.delete(key)
    cached.set(key, one)
    const [oldest] = cached.keys()
    if (cached.size > maxLists && oldest !== undefined) cached.delete(oldest)
  }

  return {
    async read<Item>(call: Call, item: (raw: unknown) => Item) {
      const answer = await ask(call)
      if (!isStream(answer)) return readList(answer, item)
      const key = keyOf(call)
      const { chunks, hash } = await bytesOf(answer)
      const before = cached.get(key)
      // A filtered list shares its objects with the full list.
      const known = [before, cached.get(keyOf({ path: call.path }))].flatMap((one) => one?.byHash ?? [])
      const read = before?.hash === hash ? before : { hash, ...readOver(Buffer.concat(chunks), item, known) }
      store(key, read)
      return read.items as readonly Item[]
    },
  }
}

function keyOf({ path, query = {} }: Pick<Call, 'path' | 'query'>): string {
  return `${path} ${JSON.stringify(query)}`
}

function isStream(answer: unknown): answer is ByteStream {
  return answer !== null && typeof answer === 'object' && Symbol.asyncIterator in answer
}

async function bytesOf(stream: ByteStream): Promise<{ readonly chunks: readonly Uint8Array[]; readonly hash: string }> {
  const chunks: Uint8Array[] = []
  const hash = createHash('sha256')
  for await (const chunk of stream) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    chunks.push(bytes)
    hash.update(bytes)
  }
  return { chunks, hash: hash.digest('base64') }
}

/** Reads a list, and reuses elements that are cached. */
function readOver(
  bytes: Buffer,
  item: (raw: unknown) => unknown,
  known: readonly CachedList['byHash'][],
): Pick<CachedList, 'items' | 'byHash'> {
  const read = readElements(bytes, item, known)
  return read === undefined ? { items: readList(parsed(bytes), item), byHash: new Map() } : { items: [...read.values()], byHash: read }
}

/** Undefined if the list is not formatted as Docker formats it: then it is parsed as normal JSON. `item` validates the elements. */
function readElements(
  bytes: Buffer,
  item: (raw: unknown) => unknown,
  known: readonly CachedList['byHash'][],
): CachedList['byHash'] | undefined {
  const elements = elementsIn(bytes)
  const read = new Map<string, unknown>()
  for (const element of elements ?? []) {
    const hash = hashOnce('sha256', element, 'base64')
    const held = known.find((one) => one.has(hash))?.get(hash)
    const raw = held === undefined ? parsed(element) : undefined
    if (held === undefined && raw === undefined) return undefined
    read.set(hash, held ?? item(raw))
  }
  // Two identical elements mean that this is another kind of list.
  return elements !== undefined && read.size === elements.length ? read : undefined
}

const [begin, between, end] = ['[{"ID":', '},{"ID":', '}]']

/**
 * Splits at Docker's separator between two objects. No string contains these bytes, since its quotes are escaped. A split inside an object gives
 * invalid JSON, which the parser detects.
 */
function elementsIn(bytes: Buffer): readonly Buffer[] | undefined {
  const last = bytes.lastIndexOf(end)
  const rest = bytes.subarray(last + end.length).toString()
  if (!bytes.subarray(0, begin.length).equals(Buffer.from(begin)) || rest.trim() !== '') return undefined
  const elements: Buffer[] = []
  for (let from = 1; from <= last; ) {
    const found = bytes.indexOf(between, from)
    const to = found === -1 ? last : found
    elements.push(bytes.subarray(from, to + 1))
    from = to + 2
  }
  return elements
}

/** Invalid JSON is not a list, which `readList` reports. */
function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString()) as unknown
  } catch {
    return undefined
  }
}

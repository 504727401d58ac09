import { createHash, hash as hashOnce } from 'node:crypto'
import type { ByteStream, Call } from './call.ts'
import { readList } from './read.ts'

/** So many different lists are kept: those of all kinds, and the tasks of so many nodes. */
const mostKept = 64

/**
 * Lists as they were last read. The same bytes give the same list, and in another list the same bytes of an element the same object: of a Swarm in
 * which nothing happens nothing is parsed, and where something does only that.
 */
export interface Lists {
  read<Item>(call: Call, item: (raw: unknown) => Item): Promise<readonly Item[]>
}

interface Kept {
  readonly hash: string
  readonly items: readonly unknown[]
  /** By the hash of their bytes. */
  readonly byHash: ReadonlyMap<string, unknown>
}

/** `ask` gives the answer's bytes as a stream; where it has no bytes to give, what they would parse to. */
export function keptLists(ask: (call: Call) => Promise<unknown>): Lists {
  const kept = new Map<string, Kept>()

  function keep(key: string, one: Kept): void {
    kept.delete(key)
    kept.set(key, one)
    const [oldest] = kept.keys()
    if (kept.size > mostKept && oldest !== undefined) kept.delete(oldest)
  }

  return {
    async read<Item>(call: Call, item: (raw: unknown) => Item) {
      const answer = await ask(call)
      if (!isStream(answer)) return readList(answer, item)
      const key = keyOf(call)
      const { chunks, hash } = await bytesOf(answer)
      const before = kept.get(key)
      // A list of some has the same objects as that of all.
      const known = [before, kept.get(keyOf({ path: call.path }))].flatMap((one) => one?.byHash ?? [])
      const read = before?.hash === hash ? before : { hash, ...readOver(Buffer.concat(chunks), item, known) }
      keep(key, read)
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

/** A list of which some elements may be known. */
function readOver(bytes: Buffer, item: (raw: unknown) => unknown, known: readonly Kept['byHash'][]): Pick<Kept, 'items' | 'byHash'> {
  const read = readElements(bytes, item, known)
  return read === undefined ? { items: readList(parsed(bytes), item), byHash: new Map() } : { items: [...read.values()], byHash: read }
}

/** Undefined where the list is not written as Docker writes it: then it is read as any JSON. What its elements are is judged by `item`. */
function readElements(bytes: Buffer, item: (raw: unknown) => unknown, known: readonly Kept['byHash'][]): Kept['byHash'] | undefined {
  const elements = elementsIn(bytes)
  const read = new Map<string, unknown>()
  for (const element of elements ?? []) {
    const hash = hashOnce('sha256', element, 'base64')
    const held = known.find((one) => one.has(hash))?.get(hash)
    const raw = held === undefined ? parsed(element) : undefined
    if (held === undefined && raw === undefined) return undefined
    read.set(hash, held ?? item(raw))
  }
  // Two that are the same are a list of another kind.
  return elements !== undefined && read.size === elements.length ? read : undefined
}

const [begin, between, end] = ['[{"ID":', '},{"ID":', '}]']

/**
 * Cut where Docker goes from one object to the next. No string holds those bytes, since a quote in one is escaped; and where they stand deeper in
 * an object, what they cut is no JSON, which is seen when it is parsed.
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

/** What is no JSON is no list, which `readList` says. */
function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString()) as unknown
  } catch {
    return undefined
  }
}

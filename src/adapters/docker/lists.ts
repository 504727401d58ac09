import { createHash } from 'node:crypto'
import type { ByteStream, Call } from './engine.ts'
import { readList } from './read.ts'

/** So many different lists are kept: those of all kinds, and the tasks of so many nodes. */
const mostKept = 64

/** Lists as they were last read. The same bytes give the same list, object by object: of a Swarm in which nothing happens nothing is parsed. */
export interface Lists {
  read<Item>(call: Call, item: (raw: unknown) => Item): Promise<readonly Item[]>
}

interface Kept {
  readonly hash: string
  readonly items: readonly unknown[]
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
      const key = `${call.path} ${JSON.stringify(call.query ?? {})}`
      const { chunks, hash } = await bytesOf(answer)
      const before = kept.get(key)
      const items = before?.hash === hash ? (before.items as readonly Item[]) : readList(parsed(chunks), item)
      keep(key, { hash, items })
      return items
    },
  }
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

/** What is no JSON is no list, which `readList` says. */
function parsed(chunks: readonly Uint8Array[]): unknown {
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as unknown
  } catch {
    return undefined
  }
}

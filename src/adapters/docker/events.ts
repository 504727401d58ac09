import type { SwarmEvent } from '../../ports/swarm.ts'

const longestLine = 1024 ** 2

/** Splits a byte stream into lines. A chunk may hold several, or part of one. Lines above one megabyte are not events, and are dropped. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array | string>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of chunks) {
    rest += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') yield line
    if (rest.length > longestLine) rest = ''
  }
}

const types = ['service', 'node', 'config', 'secret', 'network', 'container'] as const

/** Undefined for a line that is not an event. */
export function readEvent(line: string): SwarmEvent | undefined {
  const raw = parse(line) as { Type?: unknown; Action?: unknown; Actor?: { ID?: unknown; Attributes?: { name?: unknown } } } | null
  if (raw === null || typeof raw !== 'object' || typeof raw.Type !== 'string') return undefined
  const name = raw.Actor?.Attributes?.name
  return {
    type: types.find((type) => type === raw.Type) ?? 'other',
    action: typeof raw.Action === 'string' ? raw.Action : '',
    id: typeof raw.Actor?.ID === 'string' ? raw.Actor.ID : '',
    name: typeof name === 'string' ? name : '',
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line) as unknown
  } catch {
    return null
  }
}

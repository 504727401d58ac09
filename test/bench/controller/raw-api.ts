import { Agent, request } from 'node:http'

type Json = Readonly<Record<string, unknown>>

/** The Engine API without a client library: Node's HTTP on the manager's socket, with kept connections. */
export interface RawApi {
  get(path: string): Promise<readonly Json[]>
  find(path: string): Promise<Json>
  post(path: string, body: unknown): Promise<Json>
  remove(path: string): Promise<void>
  /** Calls back with each event of a service until the returned function is called. */
  events(onEvent: (event: { action: string; name: string; atMs: number }) => void): Promise<() => void>
}

const base = '/v1.41'

export function rawApi(socketPath: string): RawApi {
  const agent = new Agent({ keepAlive: true })
  const call = (method: string, path: string, body?: unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body)
      const headers = text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
      const sent = request({ socketPath, method, path: base + path, headers, agent }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const answer = Buffer.concat(chunks).toString()
          if ((response.statusCode ?? 0) >= 300) reject(new Error(`${method} ${path}: ${response.statusCode ?? 0} ${answer}`))
          else resolve(answer === '' ? {} : JSON.parse(answer))
        })
      })
      sent.on('error', reject)
      sent.end(text)
    })
  return {
    get: async (path) => ((await call('GET', path)) ?? []) as readonly Json[],
    find: async (path) => (await call('GET', path)) as Json,
    post: async (path, body) => (await call('POST', path, body)) as Json,
    remove: async (path) => void (await call('DELETE', path)),
    events: (onEvent) => followEvents(socketPath, onEvent),
  }
}

function followEvents(socketPath: string, onEvent: Parameters<RawApi['events']>[0]): Promise<() => void> {
  const filters = encodeURIComponent(JSON.stringify({ type: ['service'] }))
  return new Promise((resolve, reject) => {
    const stream = request({ socketPath, path: `${base}/events?filters=${filters}` }, (response) => {
      let rest = ''
      response.on('data', (chunk: Buffer) => {
        const atMs = performance.now()
        const lines = (rest + chunk.toString()).split('\n')
        rest = lines.pop() ?? ''
        for (const line of lines.filter((each) => each !== '')) {
          const { Action, Actor } = JSON.parse(line) as { Action: string; Actor: { Attributes: { name?: string } } }
          onEvent({ action: Action, name: Actor.Attributes.name ?? '', atMs })
        }
      })
      response.on('error', () => undefined)
      resolve(() => stream.destroy())
    })
    stream.on('error', reject)
    stream.end()
  })
}

/** At most eight at once. */
export async function each<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<void> {
  const queue = items.values()
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: 8 }, worker))
}

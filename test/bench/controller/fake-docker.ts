/**
 * As much of a manager's Engine API as the controller uses, on a socket of its own: for more VMs than a dockerd takes in a reasonable time. It judges
 * nothing but versions and taken names, and every service has one task that waits for a node.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

type Json = Readonly<Record<string, unknown>>

interface Held {
  readonly id: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly version: number
  readonly spec: Json
  /** The behavior that a test sets. */
  readonly text: string
}

export interface FakeDocker {
  readonly socket: string
  readonly services: () => number
  stop(): Promise<void>
}

function refused(status: number, message: string): Error & { readonly status: number } {
  return Object.assign(new Error(message), { status })
}

const createdAt = '2026-01-01T00:00:00.000000000Z'

function shelfOf(told: (held: Omit<Held, 'text'>) => Json, tell: (action: string, held: Held) => void, next: () => number) {
  const byId = new Map<string, Held>()
  const byName = new Map<string, Held>()
  const put = (id: string, spec: Json): Held => {
    const labels = (spec['Labels'] ?? {}) as Held['labels']
    const bare = { id, name: typeof spec['Name'] === 'string' ? spec['Name'] : id, labels, version: next(), spec }
    const held = { ...bare, text: JSON.stringify(told(bare)) }
    byId.set(id, held)
    byName.set(held.name, held)
    return held
  }
  const need = (id: string): Held => {
    const held = byId.get(id) ?? byName.get(id)
    if (held === undefined) throw refused(404, `${id} not found`)
    return held
  }
  return {
    all: () => [...byId.values()],
    size: () => byId.size,
    find: (id: string) => byId.get(id) ?? byName.get(id),
    need,
    add: put,
    create(spec: Json): Json {
      if (byName.has(spec['Name'] as string)) throw refused(409, 'name conflicts with an existing object')
      const held = put(`id${String(next()).padStart(23, '0')}`, spec)
      tell('create', held)
      return { ID: held.id }
    },
    update(id: string, version: number, spec: Json): Json {
      const held = need(id)
      if (held.version !== version) throw refused(500, 'rpc error: code = Unknown desc = update out of sequence')
      tell('update', put(held.id, spec))
      return {}
    },
    remove(id: string): Json {
      const held = need(id)
      byId.delete(held.id)
      byName.delete(held.name)
      tell('remove', held)
      return {}
    },
  }
}

const asSpec = ({ id, version, spec }: Omit<Held, 'text'>): Json => ({
  ID: id,
  Version: { Index: version },
  CreatedAt: createdAt,
  UpdatedAt: createdAt,
  Spec: spec,
})

/** The fields of a machine in dockerd's answers that the controller does not use. */
function nodeOf(held: Omit<Held, 'text'>): Json {
  const Description = { Hostname: held.name, Resources: { NanoCPUs: 4e9, MemoryBytes: 2 ** 50 } }
  return { ...asSpec(held), Description, Status: { State: 'ready', Addr: '10.0.0.1' } }
}

function taskOf({ id, spec }: Held): string {
  const status = { Timestamp: createdAt, State: 'pending', Message: 'pending task scheduling', Err: 'no suitable node' }
  const task = {
    ID: `t${id}`,
    Version: { Index: 1 },
    CreatedAt: createdAt,
    UpdatedAt: createdAt,
    Spec: spec['TaskTemplate'],
    ServiceID: id,
  }
  return JSON.stringify({ ...task, Slot: 1, Status: status, DesiredState: 'running' })
}

export async function fakeDocker(socket: string): Promise<FakeDocker> {
  let writes = 0
  const streams = new Set<ServerResponse>()
  const next = (): number => (writes += 1)
  const telling =
    (Type: string) =>
    (Action: string, { id, name }: Held): void => {
      const line = `${JSON.stringify({ Type, Action, Actor: { ID: id, Attributes: { name } } })}\n`
      for (const stream of streams) stream.write(line)
    }
  const shelves = {
    nodes: shelfOf(nodeOf, telling('node'), next),
    services: shelfOf(asSpec, telling('service'), next),
    configs: shelfOf(asSpec, telling('config'), next),
    secrets: shelfOf(asSpec, telling('secret'), next),
  }
  // A node takes 1,024 VMs.
  for (let node = 1; node <= 12; node += 1) {
    shelves.nodes.add(`n${node}`, { Name: `n${node}`, Role: 'worker', Availability: 'active', Labels: {} })
  }

  function list(kind: string, filters: Readonly<Record<string, readonly string[]>>): string {
    if (kind === 'tasks') {
      // They wait for a node.
      if (filters['node'] !== undefined) return '[]'
      const [service] = filters['service'] ?? []
      const held = service === undefined ? shelves.services.all() : [shelves.services.find(service)].filter((one) => one !== undefined)
      return `[${held.map(taskOf).join(',')}]`
    }
    const shelf = shelves[kind as keyof typeof shelves]
    const [label = ''] = filters['label'] ?? []
    const [key = '', value] = label.split('=')
    const [name] = filters['name'] ?? []
    const held = name === undefined ? shelf.all() : [shelf.find(name)].filter((one) => one !== undefined)
    const wanted = held.filter(({ labels }) => key === '' || (value === undefined ? Object.hasOwn(labels, key) : labels[key] === value))
    return `[${wanted.map(({ text }) => text).join(',')}]`
  }

  function answer(method: string, url: URL, body: Json): string {
    const [kind = '', id = '', verb = ''] = url.pathname
      .replace(/^\/v[\d.]+/, '')
      .slice(1)
      .split('/')
    if (kind === 'version') return JSON.stringify({ ApiVersion: '1.41' })
    if (method === 'GET' && id === '') return list(kind, JSON.parse(url.searchParams.get('filters') ?? '{}') as Record<string, string[]>)
    const shelf = shelves[kind as keyof typeof shelves]
    if (method === 'GET') return shelf.need(id).text
    if (method === 'DELETE') return JSON.stringify(shelf.remove(id))
    if (id === 'create') return JSON.stringify(shelf.create(body))
    if (verb === 'update') return JSON.stringify(shelf.update(id, Number(url.searchParams.get('version')), body))
    throw refused(404, `${method} ${url.pathname} is not there`)
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://docker')
    if (url.pathname.endsWith('/events')) {
      streams.add(response)
      response.on('close', () => streams.delete(response))
      response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
      return
    }
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    try {
      const said = answer(request.method ?? 'GET', url, text === '' ? {} : (JSON.parse(text) as Json))
      response.writeHead(url.pathname.endsWith('/create') ? 201 : 200, { 'content-type': 'application/json' }).end(said)
    } catch (error) {
      const { status = 500 } = error as { status?: number }
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ message: String(error) }))
    }
  }

  const server = createServer((request, response) => void handle(request, response))
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  return {
    socket,
    services: () => shelves.services.size(),
    async stop() {
      for (const stream of streams) stream.end()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A UNIX socket in front of dockerd's that numbers API calls, has its client killed on one of them, and lets streams of events fall silent. */
import { rmSync } from 'node:fs'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import { type Hush, hushable, type HushedProxy } from './hush.ts'

/**
 * The point in a call at which its client dies: before the request reached dockerd, after dockerd applied it, or after the answer was sent.
 */
export const killPlaces = ['before', 'unanswered', 'answered'] as const
export type KillPlace = (typeof killPlaces)[number]

interface Fault {
  /** Counted from 1. */
  readonly call: number
  readonly place: KillPlace
  /** Must kill at once: what the client does next is already after the crash. */
  readonly kill: () => void
}

export interface Watch {
  /** `POST /services/create`, in the order in which they came, with the one at which the client was killed. */
  readonly calls: readonly string[]
  /** The call at which it was killed; undefined where it made fewer. */
  hit(): string | undefined
}

export interface DockerProxy {
  /** Numbers the calls from now on, and forgets the watch before. */
  watch(fault?: Fault): Watch
  readonly hush: Hush
  close(): Promise<void>
}

interface Armed {
  readonly calls: string[]
  readonly fault: Fault | undefined
  hit: string | undefined
}

/** Listens on `socket`, which must not exist. */
export async function dockerProxy(socket: string, dockerd: string): Promise<DockerProxy> {
  let armed: Armed = { calls: [], fault: undefined, hit: undefined }
  const hush = hushable()
  const server = createServer((asked, answer) => {
    const { fault } = armed
    armed.calls.push(nameOf(asked))
    const isDue = fault !== undefined && armed.calls.length === fault.call
    if (isDue) armed.hit = nameOf(asked)
    const go = (): void => pass(asked, answer, { dockerd, fault: isDue ? fault : undefined, hush })
    hush.whenHeard(go)
  })
  await listening(server, socket)
  return {
    watch(fault) {
      const watch: Armed = { calls: [], fault, hit: undefined }
      armed = watch
      return { calls: watch.calls, hit: () => watch.hit }
    },
    hush,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(socket, { force: true })
    },
  }
}

function listening(server: Server, socket: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(socket, resolve)
  })
}

function nameOf({ method, url }: IncomingMessage): string {
  const path = (url ?? '').replace(/^\/v[0-9.]+/, '').replace(/\?.*$/, '')
  return `${method ?? ''} ${path}`
}

/** A stream of events has no end that one could wait for. */
function isStream(asked: IncomingMessage): boolean {
  return nameOf(asked) === 'GET /events'
}

interface Passing {
  readonly dockerd: string
  readonly fault: Fault | undefined
  readonly hush: HushedProxy
}

function pass(asked: IncomingMessage, answer: ServerResponse, { dockerd, fault, hush }: Passing): void {
  if (fault?.place === 'before') {
    fault.kill()
    asked.destroy()
    return
  }
  const { method, url, headers } = asked
  const forwarded = request({ socketPath: dockerd, method, path: url, headers, agent: false }, (given) => {
    if (fault?.place === 'unanswered') {
      const die = (): void => {
        fault.kill()
        answer.destroy()
      }
      if (isStream(asked)) return die()
      given.resume().once('end', die)
      return
    }
    answer.writeHead(given.statusCode ?? 502, given.headers)
    answer.flushHeaders()
    if (isStream(asked)) hush.stream(given, answer)
    else given.pipe(answer)
    given.once('error', () => answer.destroy())
    if (fault === undefined) return
    if (isStream(asked)) fault.kill()
    else answer.once('finish', fault.kill)
  })
  // Clients with a pending call see a closed connection, as from dockerd itself.
  forwarded.once('error', () => answer.destroy())
  answer.once('close', () => forwarded.destroy())
  asked.pipe(forwarded)
}

import {
  type BrokerHello,
  brokerAdminVersion,
  brokerHello,
  type BrokerRequest,
  type BrokerResponse,
  brokerResponse,
} from '../api/wire/broker-admin.ts'
import { encodeFrame, frameDecoder } from '../api/wire/frames.ts'
import type { Clock } from '../ports/clock.ts'
import { sleep } from '../api/time.ts'
import { PortError } from '../ports/errors.ts'
import type { FdConnection, FdSockets } from '../ports/fd-socket.ts'
import type { Log } from '../ports/log.ts'

/** Reconnects within a second after the broker is back. */
const reconnectMs = 500
const helloTimeoutMs = 5_000
/** No answer carries more than one descriptor, but one chunk may hold several answers. */
const maxHeldFds = 8

type WithoutId<Message> = Message extends unknown ? Omit<Message, 'id'> : never
type BrokerQuestion = WithoutId<BrokerRequest>

/** The broker rejected the request. `reason` and `message` are the broker's. */
export class BrokerRefusal extends Error {
  override readonly name = 'BrokerRefusal'
  readonly reason: string

  constructor(reason: string, message: string) {
    super(message)
    this.reason = reason
  }
}

export interface BrokerLink {
  /** The hello of the open connection. Undefined while the broker is not connected. */
  hello(): BrokerHello | undefined
  /** Why there is no connection. Empty while there is one. */
  absence(): string
  /** Throws PortError `Unavailable` (not connected, or no answer in time) and BrokerRefusal. Closes descriptors that arrive with the answer. */
  ask<Type extends BrokerResponse['type']>(
    question: BrokerQuestion,
    answer: Type,
    timeoutMs: number,
  ): Promise<Extract<BrokerResponse, { type: Type }>>
  /** Resolves with a descriptor of /dev/kvm that the caller must close. Throws as `ask` does. */
  openKvm(timeoutMs: number): Promise<number>
  /** Keeps a connection open until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>
}

export interface BrokerLinkOptions {
  readonly sockets: FdSockets
  readonly path: string
  readonly clock: Clock
  readonly log: Log
  readonly closeFd: (fd: number) => void
  /** Called after each hello, when requests can be sent. */
  readonly onConnected: (hello: BrokerHello) => void
}

interface Pending {
  settle(response: BrokerResponse, fd: number | undefined): void
  fail(error: Error): void
}

interface Session {
  readonly connection: FdConnection
  readonly hello: BrokerHello
  readonly pending: Map<number, Pending>
}

export function brokerLink(options: BrokerLinkOptions): BrokerLink {
  let session: Session | undefined
  let absence = 'not connected to the broker yet'
  let nextId = 1

  function send(question: BrokerQuestion, timeoutMs: number): Promise<{ response: BrokerResponse; fd: number | undefined }> {
    const now = session
    if (now === undefined) return Promise.reject(new PortError('Unavailable', absence))
    const id = nextId++
    return new Promise((resolve, reject) => {
      const forget = (): void => {
        cancel()
        now.pending.delete(id)
      }
      const cancel = options.clock.after(timeoutMs, () => {
        now.pending.delete(id)
        reject(new PortError('Unavailable', `the broker did not answer "${question.type}" within ${timeoutMs} ms`))
      })
      now.pending.set(id, {
        settle: (response, fd) => {
          forget()
          resolve({ response, fd })
        },
        fail: (error) => {
          forget()
          reject(error)
        },
      })
      now.connection.send(encodeFrame({ ...question, id }))
    })
  }

  async function connectOnce(signal: AbortSignal): Promise<void> {
    const connection = await options.sockets.connect(options.path)
    const cut = (): void => connection.close()
    signal.addEventListener('abort', cut, { once: true })
    try {
      await converse(connection)
    } finally {
      signal.removeEventListener('abort', cut)
      connection.close()
    }
  }

  /** Settles when the connection has ended. */
  function converse(connection: FdConnection): Promise<void> {
    const decoder = frameDecoder()
    const pending = new Map<number, Pending>()
    const fds: number[] = []
    let cancel: () => void = () => undefined
    return new Promise<void>((resolve, reject) => {
      cancel = options.clock.after(helloTimeoutMs, () => reject(new PortError('Unavailable', 'the broker sent no hello')))
      const onFrame = (frame: unknown): void => {
        if (session?.connection === connection) return answer(pending, frame, fds)
        const hello = readHello(frame)
        cancel()
        session = { connection, hello, pending }
        absence = ''
        options.onConnected(hello)
      }
      connection.onData((bytes, received) => {
        fds.push(...received)
        try {
          if (fds.length > maxHeldFds) throw new PortError('Unavailable', 'the broker sent unexpected descriptors')
          for (const frame of decoder.push(bytes)) onFrame(frame)
        } catch (error) {
          reject(error)
        }
      })
      connection.onClose((error) => (error ? reject(error) : resolve()))
    }).finally(() => {
      cancel()
      if (session?.connection === connection) session = undefined
      for (const one of pending.values()) one.fail(new PortError('Unavailable', 'the connection to the broker ended'))
      for (const fd of fds.splice(0)) options.closeFd(fd)
    })
  }

  function answer(pending: Map<number, Pending>, frame: unknown, fds: number[]): void {
    const parsed = brokerResponse.safeParse(frame)
    // A newer broker may send messages that this release does not support. A request that waits for one ends with its timeout.
    if (!parsed.success)
      return options.log.warn({ issue: parsed.error.issues[0]?.message }, 'The broker sent a message that this release does not support')
    const fd = parsed.data.type === 'kvm' ? fds.shift() : undefined
    const waiting = parsed.data.id === null ? undefined : pending.get(parsed.data.id)
    if (waiting) waiting.settle(parsed.data, fd)
    else if (fd !== undefined) options.closeFd(fd)
  }

  async function ask<Type extends BrokerResponse['type']>(
    question: BrokerQuestion,
    type: Type,
    timeoutMs: number,
  ): Promise<Extract<BrokerResponse, { type: Type }>> {
    const { response, fd } = await send(question, timeoutMs)
    if (fd !== undefined) options.closeFd(fd)
    return expectType(response, type)
  }

  return {
    hello: () => session?.hello,
    absence: () => absence,
    ask,
    async openKvm(timeoutMs) {
      const { response, fd } = await send({ type: 'openKvm' }, timeoutMs)
      expectType(response, 'kvm')
      if (fd === undefined) throw new PortError('Unavailable', 'the broker answered without a descriptor')
      return fd
    },
    async run(signal) {
      while (!signal.aborted) {
        const before = absence
        try {
          await connectOnce(signal)
          absence = 'the broker closed the connection'
        } catch (error) {
          absence = `cannot connect to the broker: ${(error as Error).message}`
        }
        if (absence !== before && !signal.aborted) options.log.warn({ detail: absence }, 'Lost the connection to the broker')
        await sleep(options.clock, reconnectMs, signal).catch(() => undefined)
      }
    },
  }
}

function expectType<Type extends BrokerResponse['type']>(response: BrokerResponse, type: Type): Extract<BrokerResponse, { type: Type }> {
  if (response.type === type) return response as Extract<BrokerResponse, { type: Type }>
  if (response.type === 'error') throw new BrokerRefusal(response.reason, response.message)
  throw new PortError('Unavailable', `the broker answered with "${response.type}" where "${type}" was expected`)
}

function readHello(frame: unknown): BrokerHello {
  const hello = brokerHello.safeParse(frame)
  if (!hello.success) throw new PortError('Unavailable', 'the process on the admin socket is not a broker: it sent no hello')
  if (hello.data.version < brokerAdminVersion)
    throw new PortError(
      'Unavailable',
      `the broker supports protocol version ${hello.data.version}, but this agent needs ${brokerAdminVersion}; update the broker`,
    )
  return hello.data
}

import { encodeFrame, frameDecoder } from '../src/api/wire/frames.ts'
import { brokerRunnerVersion, type BrokerToRunner, brokerToRunner, type RunnerToBroker } from '../src/api/wire/broker-runner.ts'
import type { FdConnection } from '../src/ports/fd-socket.ts'

/** KVM, and eight macvtaps with their tokens. A peer that sends more is not a broker. */
const maxFds = 17

export interface BrokerMessage {
  readonly message: BrokerToRunner
  /** Descriptors that the caller closes. Only the message `granted` carries any. */
  readonly fds: readonly number[]
}

/** One connection to the broker: typed messages with their file descriptors. */
export interface BrokerSession {
  readonly open: boolean
  /** The caller keeps ownership of the descriptors. */
  send(message: RunnerToBroker, fds?: readonly number[]): Promise<void>
  /** Resolves with the next message, in order. Rejects when the connection has ended. Allow one pending call at a time. */
  next(): Promise<BrokerMessage>
  /** Idempotent. Closes descriptors that no message has claimed. */
  close(): void
}

export function brokerSession(
  connection: FdConnection,
  self: { readonly uid: string; readonly container?: string | undefined },
  closeFd: (fd: number) => void,
): BrokerSession {
  const inbox = new Inbox(closeFd)
  const decoder = frameDecoder()
  connection.onData((bytes, fds) => {
    inbox.keepFds(fds)
    try {
      for (const frame of decoder.push(bytes)) inbox.take(frame)
    } catch (error) {
      inbox.end(error as Error)
      connection.close()
    }
  })
  connection.onClose((error) => inbox.end(error ?? new Error('the broker closed the connection')))
  const { uid, container } = self
  const named = container === undefined ? {} : { container }
  connection.send(encodeFrame({ type: 'hello', protocol: 'swarmvirt.broker-runner', version: brokerRunnerVersion, uid, ...named }))
  return {
    get open() {
      return !inbox.ended
    },
    async send(message, fds = []) {
      connection.send(encodeFrame(message), fds)
      await connection.flushed()
    },
    next: () => inbox.next(),
    close() {
      inbox.end(new Error('the connection was closed'))
      connection.close()
    },
  }
}

class Inbox {
  readonly #closeFd: (fd: number) => void
  #fds: number[] = []
  #messages: BrokerMessage[] = []
  #waiter: { resolve: (message: BrokerMessage) => void; reject: (error: Error) => void } | undefined
  #error: Error | undefined

  constructor(closeFd: (fd: number) => void) {
    this.#closeFd = closeFd
  }

  get ended(): boolean {
    return this.#error !== undefined
  }

  /** Descriptors arrive with the first byte of their frame, so they are kept until the frame is complete. */
  keepFds(fds: readonly number[]): void {
    this.#fds.push(...fds)
    if (this.#error || this.#fds.length > maxFds) this.#closeAll()
  }

  /** Throws on a message that violates the protocol. */
  take(frame: unknown): void {
    const message = knownMessage(frame)
    if (message === undefined || this.#error) return
    const count = fdsOf(message)
    if (count > this.#fds.length) throw new Error(`the broker announced ${count} descriptors and sent ${this.#fds.length}`)
    const received = { message, fds: this.#fds.splice(0, count) }
    const waiter = this.#waiter
    this.#waiter = undefined
    if (waiter) waiter.resolve(received)
    else this.#messages.push(received)
  }

  next(): Promise<BrokerMessage> {
    const message = this.#messages.shift()
    if (message) return Promise.resolve(message)
    if (this.#error) return Promise.reject(this.#error)
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject }
    })
  }

  /** Drops unread messages and closes their descriptors: the lease that they describe has ended. */
  end(error: Error): void {
    if (this.#error) return
    this.#error = error
    this.#closeAll()
    const waiter = this.#waiter
    this.#waiter = undefined
    waiter?.reject(error)
  }

  #closeAll(): void {
    for (const fd of [...this.#fds, ...this.#messages.flatMap((each) => each.fds)]) this.#closeFd(fd)
    this.#fds = []
    this.#messages = []
  }
}

function fdsOf(message: BrokerToRunner): number {
  if (message.type !== 'granted' || message.reclaimed) return 0
  return Number(message.kvm) + message.nics.length + message.nics.filter(({ token }) => token === true).length
}

const knownTypes: ReadonlySet<unknown> = new Set(brokerToRunner._zod.propValues['type'])

/** Undefined for a message type of a newer broker. Throws on a known type that is malformed. */
function knownMessage(frame: unknown): BrokerToRunner | undefined {
  return knownTypes.has((frame as { type?: unknown }).type) ? brokerToRunner.parse(frame) : undefined
}

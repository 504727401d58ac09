import { closeSync } from 'node:fs'
import type { FdConnection } from '../../ports/fd-socket.ts'
import type { Messages } from './messages.ts'
import type { Poller, Watch } from './poller.ts'

/** A peer that does not read is disconnected above this limit. */
const maxQueuedBytes = 1024 * 1024

type Queued = { bytes: Uint8Array; fds: readonly number[] }
type Waiter = { readonly resolve: () => void; readonly reject: (error: Error) => void }
type DataListener = (bytes: Uint8Array, fds: readonly number[]) => void
type CloseListener = (error?: Error) => void

/** Takes over a connected, non-blocking socket. Reads start with the first listener. */
export function fdConnection(fd: number, poller: Poller, messages: Messages): FdConnection {
  return new StreamConnection(fd, poller, messages)
}

class StreamConnection implements FdConnection {
  readonly #fd: number
  readonly #messages: Messages
  readonly #watch: Watch
  readonly #queue: Queued[] = []
  #queuedBytes = 0
  #flushing: Waiter[] = []
  #onData: DataListener | undefined
  #closeListeners: CloseListener[] = []
  #ended: { readonly error: Error | undefined } | undefined

  constructor(fd: number, poller: Poller, messages: Messages) {
    this.#fd = fd
    this.#messages = messages
    this.#watch = poller.watch(fd, () => this.#onReady())
  }

  send(bytes: Uint8Array, fds: readonly number[] = []): void {
    if (this.#ended !== undefined || bytes.length === 0) return
    this.#queue.push({ bytes, fds })
    this.#queuedBytes += bytes.length
    if (this.#queuedBytes > maxQueuedBytes) this.#end(new Error('the peer does not read its messages'))
    else this.#guarded(() => this.#write())
  }

  flushed(): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended.error ?? new Error('the connection is closed'))
    if (this.#queue.length === 0) return Promise.resolve()
    return new Promise((resolve, reject) => this.#flushing.push({ resolve, reject }))
  }

  onData(listener: DataListener): void {
    this.#onData = listener
    this.#updateWatch()
  }

  onClose(listener: CloseListener): void {
    const ended = this.#ended
    if (ended === undefined) this.#closeListeners.push(listener)
    else queueMicrotask(() => listener(ended.error))
  }

  close(): void {
    this.#end(undefined)
  }

  #onReady(): void {
    this.#guarded(() => {
      this.#write()
      if (this.#ended === undefined && this.#onData !== undefined) this.#read(this.#onData)
    })
  }

  /** Reads one chunk per turn, so that one peer does not block the others. */
  #read(onData: DataListener): void {
    const received = this.#messages.receive(this.#fd)
    if (received === undefined) return
    if (received.kind === 'end') this.#end(undefined)
    else onData(received.bytes, received.fds)
  }

  #write(): void {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      const sent = this.#messages.send(this.#fd, next.bytes, next.fds)
      if (sent === undefined) break
      this.#queuedBytes -= sent
      if (sent === next.bytes.length) this.#queue.shift()
      // The descriptors were sent with the first byte.
      else this.#queue[0] = { bytes: next.bytes.subarray(sent), fds: [] }
    }
    if (this.#queue.length === 0) for (const waiter of this.#flushing.splice(0)) waiter.resolve()
    this.#updateWatch()
  }

  #updateWatch(): void {
    if (this.#ended === undefined) this.#watch.want(this.#onData !== undefined, this.#queue.length > 0)
  }

  #guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#end(error as Error)
    }
  }

  #end(error: Error | undefined): void {
    if (this.#ended !== undefined) return
    this.#ended = { error }
    this.#watch.close()
    this.#messages.drain(this.#fd)
    closeSync(this.#fd)
    this.#queue.length = 0
    for (const waiter of this.#flushing.splice(0)) waiter.reject(error ?? new Error('the connection is closed'))
    // Deferred, so that no callback runs inside the caller's own `send` or `close`.
    queueMicrotask(() => {
      for (const listener of this.#closeListeners.splice(0)) listener(error)
    })
  }
}

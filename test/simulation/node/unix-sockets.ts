import { PortError } from '../../../src/ports/errors.ts'
import type { FdConnection, FdListener, FdSockets } from '../../../src/ports/fd-socket.ts'
import type { Descriptors, OpenFile } from './descriptors.ts'
import type { Inode, MemoryDisk } from './memory-disk.ts'
import type { Process } from './process.ts'

interface Listener {
  readonly process: Process
  readonly onConnection: (connection: FdConnection) => void
}

/** The UNIX sockets of one node. A listener ends with its program, but the name of its socket stays. */
export class UnixSockets {
  readonly #disk: MemoryDisk
  readonly #descriptors: Descriptors
  readonly #listeners = new Map<Inode, Listener>()
  /** By program, the connections that it made, with the path. */
  readonly #made = new Map<Process, { readonly path: string; readonly end: End }[]>()

  constructor(disk: MemoryDisk, descriptors: Descriptors) {
    this.#disk = disk
    this.#descriptors = descriptors
  }

  /** As this program sees them. */
  of(process: Process): FdSockets {
    return {
      connect: async (path) => {
        const inode = this.#disk.at(path)
        if (inode === undefined) throw new PortError('NotFound', `connect ENOENT ${path}`)
        const listener = this.#listeners.get(inode)
        if (listener === undefined) throw new PortError('Unavailable', `connect ECONNREFUSED ${path}`)
        const end = this.#connect(process, listener)
        this.#made.set(process, [...(this.#made.get(process) ?? []).filter((one) => !one.end.closed), { path, end }])
        return end
      },
      listen: async (path, mode, onConnection) => this.#listen(process, path, mode, onConnection),
    }
  }

  isConnected(process: Process, path: string): boolean {
    return (this.#made.get(process) ?? []).some((one) => one.path === path && !one.end.closed)
  }

  #listen(process: Process, path: string, mode: number, onConnection: (connection: FdConnection) => void): FdListener {
    const before = this.#disk.at(path)
    if (before !== undefined && before.kind !== 'socket') throw new PortError('Invalid', `${path} is no socket`)
    const inode = this.#disk.put(path, { kind: 'socket', mode }, process)
    this.#listeners.set(inode, { process, onConnection })
    const close = (): void => void this.#listeners.delete(inode)
    process.onEnd(close)
    return { close }
  }

  #connect(process: Process, { process: server, onConnection }: Listener): End {
    const near = new End(process, this.#descriptors)
    const far = new End(server, this.#descriptors)
    near.meet(far)
    far.meet(near)
    queueMicrotask(() => {
      if (server.alive && !far.closed) onConnection(far)
    })
    return near
  }
}

interface Chunk {
  readonly bytes: Uint8Array
  readonly files: readonly OpenFile[]
}

/** One end of a connection. Data arrives in a later turn of the microtask queue, in order. */
class End implements FdConnection {
  readonly #process: Process
  readonly #descriptors: Descriptors
  readonly #waiting: Chunk[] = []
  readonly #onClose: ((error?: Error) => void)[] = []
  #onData: ((bytes: Uint8Array, fds: readonly number[]) => void) | undefined
  #peer: End | undefined
  #closed = false

  constructor(process: Process, descriptors: Descriptors) {
    this.#process = process
    this.#descriptors = descriptors
    process.onEnd(() => this.close())
  }

  get closed(): boolean {
    return this.#closed
  }

  meet(peer: End): void {
    this.#peer = peer
  }

  send(bytes: Uint8Array, fds: readonly number[] = []): void {
    if (this.#closed) return
    const files = fds.map((fd) => this.#descriptors.fileOf(fd)).filter((file) => file !== undefined)
    for (const file of files) this.#descriptors.hold(file)
    queueMicrotask(() => this.#peer?.arrive({ bytes, files }))
  }

  flushed(): Promise<void> {
    return this.#closed ? Promise.reject(new Error('the connection has ended')) : Promise.resolve()
  }

  onData(listener: (bytes: Uint8Array, fds: readonly number[]) => void): void {
    this.#onData = listener
    for (const chunk of this.#waiting.splice(0)) this.#give(chunk)
  }

  onClose(listener: (error?: Error) => void): void {
    this.#onClose.push(listener)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const { files } of this.#waiting.splice(0)) for (const file of files) this.#descriptors.release(file)
    if (this.#process.alive) for (const listener of this.#onClose) queueMicrotask(() => this.#process.alive && listener())
    queueMicrotask(() => this.#peer?.close())
  }

  arrive(chunk: Chunk): void {
    if (this.#closed) for (const file of chunk.files) this.#descriptors.release(file)
    else if (this.#onData === undefined) this.#waiting.push(chunk)
    else this.#give(chunk)
  }

  #give({ bytes, files }: Chunk): void {
    const fds = files.map((file) => this.#descriptors.install(this.#process, file))
    for (const file of files) this.#descriptors.release(file)
    this.#onData?.(bytes, fds)
  }
}

import { encodeFrame, frameDecoder } from '../src/api/wire/frames.ts'
import {
  type GuestPortState,
  type ExecOutcome,
  type GuestControl,
  type RunnerResponse,
  type RunnerStatus,
  runnerControlVersion,
  runnerRequest,
} from '../src/api/wire/runner-control.ts'
import { PortError } from '../src/ports/errors.ts'
import type { FdConnection, FdListener, FdSockets } from '../src/ports/fd-socket.ts'
import type { RunnerFiles } from '../src/ports/runner-files.ts'
import { RunnerExit } from './exit-codes.ts'

/** One agent connection, plus spares for an agent that restarts while its old connections are closing. */
const maxConnections = 8
/** Maximum number of pending requests per connection. */
const maxWaiting = 16

/** As many as the frame may have. */
const mostProblems = 64

export interface ControlDeps {
  readonly sockets: Pick<FdSockets, 'listen' | 'connect'>
  readonly files: Pick<RunnerFiles, 'inode'>
  readonly path: string
  readonly uid: string
  readonly status: () => Promise<RunnerStatus>
  /** Brings QEMU to the live part. Resolves with what it does not have of it. */
  readonly live: () => Promise<readonly string[]>
  readonly powerOff: () => void
  readonly guestPort: (port: number, timeoutMs: number) => Promise<GuestPortState>
  /** Throws with a message for users. */
  readonly control: (action: GuestControl) => Promise<void>
  readonly exec: (command: readonly string[], timeoutMs: number) => Promise<ExecOutcome>
}

/**
 * The VM's control socket (src/api/wire/runner-control.ts). Two runners of one VM share its path. The lease holder must own the socket, so that the
 * running guest stays reachable. A waiting runner takes it only when nobody answers there.
 */
export class ControlServer {
  readonly #deps: ControlDeps
  readonly #connections = new Set<FdConnection>()
  #listener: FdListener | undefined
  #inode: number | undefined

  constructor(deps: ControlDeps) {
    this.#deps = deps
  }

  /** Listens unless another runner answers on the socket. Throws RunnerExit `ControlSocketFailed`. */
  async offer(): Promise<void> {
    if (this.#listener || (await this.#answered())) return
    await this.#listen()
  }

  /** Listens even if another runner answers, because this runner holds the lease. Throws RunnerExit `ControlSocketFailed`. */
  async claim(): Promise<void> {
    if (this.#listener && (await this.#deps.files.inode(this.#deps.path)) === this.#inode) return
    await this.#listen()
  }

  close(): void {
    this.#listener?.close()
    for (const connection of this.#connections) connection.close()
  }

  async #answered(): Promise<boolean> {
    try {
      const connection = await this.#deps.sockets.connect(this.#deps.path)
      connection.close()
      return true
    } catch (error) {
      if (error instanceof PortError && (error.kind === 'NotFound' || error.kind === 'Unavailable')) return false
      throw error
    }
  }

  async #listen(): Promise<void> {
    const { files, sockets, path } = this.#deps
    this.#listener?.close()
    try {
      this.#listener = await sockets.listen(path, 0o660, (connection) => this.#serve(connection))
      this.#inode = await files.inode(path)
    } catch (cause) {
      throw new RunnerExit('ControlSocketFailed', `${path}  cannot be opened for listening:${(cause as Error).message}`, { cause })
    }
  }

  #serve(connection: FdConnection): void {
    if (this.#connections.size >= maxConnections) return connection.close()
    this.#connections.add(connection)
    const decoder = frameDecoder()
    let waiting = 0
    let turn: Promise<void> = Promise.resolve()
    connection.onClose(() => this.#connections.delete(connection))
    connection.onData((bytes) => {
      try {
        for (const frame of decoder.push(bytes)) {
          waiting += 1
          if (waiting > maxWaiting) return connection.close()
          turn = turn.then(async () => {
            await this.#reply(connection, frame)
            waiting -= 1
          })
        }
      } catch {
        // A peer that cannot frame its messages cannot receive an answer.
        connection.close()
      }
    })
    const { uid } = this.#deps
    connection.send(encodeFrame({ type: 'hello', protocol: 'swarmvirt.runner-control', version: runnerControlVersion, uid }))
  }

  /** Reads the next request only after this reply is written, so a slow peer delays only itself. Never rejects. */
  async #reply(connection: FdConnection, frame: unknown): Promise<void> {
    try {
      connection.send(encodeFrame(await this.#answer(frame)))
      await connection.flushed()
    } catch {
      connection.close()
    }
  }

  async #answer(frame: unknown): Promise<RunnerResponse> {
    const request = runnerRequest.safeParse(frame)
    if (!request.success) return { type: 'error', id: idOf(frame), message: 'This runner does not support the request' }
    const { data } = request
    const { id } = data
    switch (data.type) {
      case 'status':
        return { type: 'status', id, status: await this.#deps.status() }
      case 'guestPort':
        return { type: 'guestPort', id, state: await this.#deps.guestPort(data.port, data.timeoutMs) }
      case 'live':
        return { type: 'live', id, problems: (await this.#deps.live()).slice(0, mostProblems) }
      case 'powerOff':
        this.#deps.powerOff()
        return { type: 'ok', id }
      case 'control':
        return await this.#deps.control(data.action).then(
          () => ({ type: 'ok' as const, id }),
          (error: Error) => ({ type: 'error' as const, id, message: error.message.slice(0, 2_000) }),
        )
      case 'guestExec':
        return { type: 'guestExec', id, outcome: await this.#deps.exec(data.command, data.timeoutMs) }
    }
  }
}

function idOf(frame: unknown): number | null {
  const id = (frame as { id?: unknown }).id
  return typeof id === 'number' && Number.isSafeInteger(id) && id >= 0 ? id : null
}

import type { Layout } from '../api/layout.ts'
import { tapNamePattern, type VmUid } from '../api/names.ts'
import { brokerRunnerVersion, type BrokerToRunner, runnerToBroker, type RunnerToBroker } from '../api/wire/broker-runner.ts'
import type { Clock } from '../ports/clock.ts'
import type { FdConnection, FdListener, FdSockets } from '../ports/fd-socket.ts'
import type { HostNetwork, SocketDirectories } from '../ports/host-network.ts'
import type { Log } from '../ports/log.ts'
import { type Framed, framed } from './framed.ts'
import type { ConnectionId } from './lease.ts'
import type { Leases } from './leases.ts'

const socketMode = 0o660
/** Reserved places of each VM, for the holder and its replacement. Other VMs cannot use them, so every granted VM can run. */
const ownPlaces = 2
/** Maximum per VM, including tasks that Swarm starts at the same time. */
const maxConnectionsPerVm = 8
/** Places that all VMs share beyond their reserved ones. */
const sharedPlaces = 512
/** hello, acquire or reclaim, and a reserve for later releases. No runner needs more. */
const maxFrames = 32
const helloDeadlineMs = 10_000

export interface RunnerServerOptions {
  readonly layout: Layout
  readonly sockets: FdSockets
  readonly directories: SocketDirectories
  readonly network: Pick<HostNetwork, 'tapOf'>
  readonly leases: Leases
  readonly clock: Clock
  readonly log: Log
  readonly bootId: string
  readonly closeFds: (fds: readonly number[]) => void
}

type Hello = Extract<RunnerToBroker, { type: 'hello' }>

interface Door {
  readonly listener: FdListener
  readonly connections: Set<Framed>
}

/** The runner sockets of this node, one per VM. The socket identifies the runner's VM. */
export class RunnerServer {
  readonly #options: RunnerServerOptions
  readonly #doors = new Map<VmUid, Promise<Door>>()
  /** Pending removals. A socket that is created meanwhile would be removed with them. */
  readonly #tidying = new Map<VmUid, Promise<void>>()
  #shared = 0
  #lastId: ConnectionId = 0

  constructor(options: RunnerServerOptions) {
    this.#options = options
  }

  /** Binds the sockets of all VMs with a directory, so that runners can connect before the agent has renewed the grants. */
  async start(): Promise<void> {
    const { directories, log } = this.#options
    for (const uid of await directories.list())
      await this.open(uid).catch((error: unknown) => log.error({ uid, err: error }, 'Cannot open a socket for runners'))
  }

  /** Creates the directory and socket if needed. Rejects with PortError. */
  async open(uid: VmUid): Promise<void> {
    const known = this.#doors.get(uid)
    if (known !== undefined) return void (await known)
    const opening = this.#openDoor(uid)
    this.#doors.set(uid, opening)
    try {
      await opening
    } catch (error) {
      this.#doors.delete(uid)
      throw error
    }
  }

  /** Removes the socket after a revocation. If a runner is connected, the socket stays until this broker ends. */
  async tidy(uid: VmUid): Promise<void> {
    const door = await this.#doors.get(uid)
    if (door === undefined || door.connections.size > 0 || this.#options.leases.isGranted(uid)) return
    this.#doors.delete(uid)
    door.listener.close()
    const removal = this.#options.directories.remove(uid).finally(() => this.#tidying.delete(uid))
    this.#tidying.set(uid, removal)
    await removal
  }

  /** Closes every connection. Runners keep their descriptors. */
  close(): void {
    for (const opening of this.#doors.values()) {
      void opening.then(
        (door) => {
          door.listener.close()
          for (const connection of door.connections) connection.close()
        },
        // `open` has already reported this error.
        () => undefined,
      )
    }
  }

  async #openDoor(uid: VmUid): Promise<Door> {
    const { directories, layout, sockets } = this.#options
    // A failure of the removal is handled by its own caller.
    await this.#tidying.get(uid)?.catch(() => undefined)
    await directories.make(uid)
    const connections = new Set<Framed>()
    const listener = await sockets.listen(layout.brokerSocket(uid), socketMode, (connection) => this.#admit(uid, connections, connection))
    return { listener, connections }
  }

  #admit(uid: VmUid, connections: Set<Framed>, connection: FdConnection): void {
    const beyond = connections.size >= ownPlaces
    if (connections.size >= maxConnectionsPerVm || (beyond && this.#shared >= sharedPlaces)) {
      this.#options.log.warn({ uid, connections: connections.size }, 'Rejected a runner: too many connections')
      connection.close()
      return
    }
    const { clock, closeFds, leases, log } = this.#options
    const id = ++this.#lastId
    const session = new Session(uid, id, this.#options)
    const cancelDeadline = clock.after(helloDeadlineMs, () => session.greeted || link.close())
    const link = framed(connection, {
      maxFrames,
      closeFds,
      onFrame: (frame, takeFds) => session.onFrame(link, frame, takeFds),
      onClose: (error) => {
        if (error !== undefined) log.warn({ uid, err: error }, 'Closed the connection of a runner')
        cancelDeadline()
        if (connections.size > ownPlaces) this.#shared -= 1
        connections.delete(link)
        leases.gone(uid, id)
      },
    })
    connections.add(link)
    if (beyond) this.#shared += 1
  }
}

/** One connection: hello, then acquire or reclaim. An error closes it. */
class Session {
  readonly #uid: VmUid
  readonly #id: ConnectionId
  readonly #options: RunnerServerOptions
  #greeted = false
  #container: string | undefined

  constructor(uid: VmUid, id: ConnectionId, options: RunnerServerOptions) {
    this.#uid = uid
    this.#id = id
    this.#options = options
  }

  get greeted(): boolean {
    return this.#greeted
  }

  onFrame(link: Framed, frame: unknown, takeFds: (count: number) => number[]): void {
    const message = runnerToBroker.parse(frame)
    if (message.type !== 'hello' && !this.#greeted) throw new Error('a runner sent no hello')
    switch (message.type) {
      case 'hello':
        return this.#hello(link, message)
      case 'acquire':
        return this.#enter(link, [], { keepsTokens: message.tokens === true })
      case 'reclaim':
        return this.#reclaim(link, message.taps, takeFds(message.taps.length))
    }
  }

  #hello(link: Framed, { uid, container }: Pick<Hello, 'uid' | 'container'>): void {
    if (uid !== this.#uid) {
      send(link, { type: 'refused', reason: 'WrongVm', message: `this socket belongs to VM ${this.#uid}, not to ${uid}` })
      throw new Error(`a runner of ${uid} used the socket of another VM`)
    }
    this.#greeted = true
    this.#container = container
    send(link, { type: 'welcome', version: brokerRunnerVersion, bootId: this.#options.bootId })
  }

  #enter(link: Framed, proof: readonly string[], { reclaims = false, keepsTokens = false } = {}): void {
    const runner = {
      id: this.#id,
      keepsTokens,
      ...(this.#container === undefined ? {} : { container: this.#container }),
      send: (message: BrokerToRunner, fds?: readonly number[]) => send(link, message, fds),
      flushed: () => link.flushed(),
    }
    this.#options.leases.enter(this.#uid, runner, proof, reclaims)
  }

  #reclaim(link: Framed, taps: readonly string[], fds: readonly number[]): void {
    const { closeFds, log, network } = this.#options
    try {
      const proven = fds.map((fd) => network.tapOf(fd))
      const isProof = taps.every((tap, index) => tapNamePattern.test(tap) && proven[index] === tap)
      if (isProof) return this.#enter(link, taps, { reclaims: true })
      log.warn({ uid: this.#uid, taps, proven }, 'Rejected a reclaim')
      send(link, {
        type: 'refused',
        reason: 'ProofRefused',
        message: `${taps.join(', ') || 'nothing'} has no matching TAP descriptor on this node`,
      })
    } finally {
      closeFds(fds)
    }
  }
}

function send(link: Framed, message: BrokerToRunner, fds?: readonly number[]): void {
  link.send(message, fds)
}

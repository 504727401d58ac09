import { isIPv6, type Server, type Socket } from 'node:net'

export interface ConnectionLimits {
  /** Open connections of all clients. */
  readonly total: number
  /** Part of `total` that is reserved for authenticated clients, and for new connections from their addresses. */
  readonly reserve: number
  /** Open connections of unauthenticated clients from one address. */
  readonly perAddress: number
  /** How long a connection may stay open without authentication. Undefined if none is required. */
  readonly unprovenMs: number | undefined
}

/** How long an address keeps its access to the reserve after its last authentication. */
const provenAddressMs = 3_600_000
/** Maximum number of stored addresses, enough for operators, pipelines and dashboards. */
const maxProvenAddresses = 256

export interface LimitedConnections {
  /** The client on this connection sent a valid token or key. */
  proven(connection: Endpoint): void
  /** Closes all connections. Node's `closeAllConnections` skips clients that have sent nothing yet, and `close` waits for them. */
  cut(): void
}

/** A raw socket or the TLS socket on top of it. Both have the same remote endpoint. */
type Endpoint = Pick<Socket, 'remoteAddress' | 'remotePort'>

interface Held {
  readonly address: string
  isProven: boolean
  readonly deadline: NodeJS.Timeout | undefined
}

/**
 * Keeps one client, or clients without a token, from taking all connections of a listener. A connection over a limit is closed at once.
 * *Guarantee*: while fewer than `total` connections are authenticated, an address that authenticated within the last hour gets a connection.
 */
export function limitConnections(server: Server, limits: ConnectionLimits): LimitedConnections {
  const open = new Map<Socket, Held>()
  const provenUntil = new Map<string, number>()
  server.maxConnections = limits.total
  server.on('connection', (socket: Socket) => {
    const address = networkOf(socket.remoteAddress ?? '')
    const isKnown = (provenUntil.get(address) ?? 0) > Date.now()
    if (!isAdmitted([...open.values()], address, isKnown, limits)) return void socket.destroy()
    const { unprovenMs } = limits
    const deadline = unprovenMs === undefined ? undefined : setTimeout(() => socket.destroy(), unprovenMs)
    deadline?.unref()
    open.set(socket, { address, isProven: false, deadline })
    socket.once('close', () => {
      clearTimeout(deadline)
      open.delete(socket)
    })
  })
  return {
    proven(connection) {
      for (const [socket, held] of open) {
        if (socket.remotePort !== connection.remotePort || socket.remoteAddress !== connection.remoteAddress) continue
        held.isProven = true
        clearTimeout(held.deadline)
        remember(provenUntil, held.address)
      }
    },
    cut: () => {
      for (const socket of open.keys()) socket.destroy()
    },
  }
}

function isAdmitted(open: readonly Held[], address: string, isKnown: boolean, limits: ConnectionLimits): boolean {
  const unproven = open.filter((one) => !one.isProven)
  // A client behind an operator's address can use at most the reserve beyond its own share.
  const ownShare = limits.perAddress + (isKnown ? limits.reserve : 0)
  if (unproven.filter((one) => one.address === address).length >= ownShare) return false
  return isKnown || open.length < limits.total - limits.reserve
}

function remember(provenUntil: Map<string, number>, address: string): void {
  provenUntil.delete(address)
  provenUntil.set(address, Date.now() + provenAddressMs)
  const [oldest] = provenUntil.keys()
  if (provenUntil.size > maxProvenAddresses && oldest !== undefined) provenUntil.delete(oldest)
}

/** One host usually has a whole /64 of IPv6 addresses. An IPv4 client of a dual-stack listener is `::ffff:192.0.2.1`. */
export function networkOf(address: string): string {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address
  const [head = '', tail] = address.replace(/%.*$/, '').split('::')
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const missing = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length
  const all = [...groups(head), ...Array<string>(missing).fill('0'), ...groups(tail ?? '')]
  return all.slice(0, 4).join(':')
}

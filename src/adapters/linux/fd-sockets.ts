import { chmodSync, closeSync, lstatSync, unlinkSync } from 'node:fs'
import { maxSocketPathBytes } from '../../api/layout.ts'
import { PortError, type PortErrorKind } from '../../ports/errors.ts'
import type { FdConnection, FdListener, FdSockets } from '../../ports/fd-socket.ts'
import { fdConnection } from './fd-connection.ts'
import { type Libc, loadLibc, SystemError } from './libc.ts'
import { type Messages, messages } from './messages.ts'
import { poller, type Poller } from './poller.ts'

const afUnix = 1
const sockStream = 1
const backlog = 16
/** How long a listener pauses when the process has no descriptors or memory left. */
const acceptPauseMs = 100

interface Tools {
  readonly libc: Libc
  readonly poller: Poller
  readonly messages: Messages
}

/** UNIX sockets with descriptor passing, on libc and Node's event loop. One instance per process is enough. */
export function fdSockets(libc: Libc = loadLibc()): FdSockets {
  const tools: Tools = { libc, poller: poller(libc), messages: messages(libc) }
  return {
    connect: (path) => settled(() => connect(tools, path)),
    listen: (path, mode, onConnection) => settled(() => listen(tools, path, mode, onConnection)),
  }
}

function settled<T>(work: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    try {
      resolve(work())
    } catch (error) {
      reject(error instanceof PortError ? error : new PortError(kindOf(error), (error as Error).message, { cause: error }))
    }
  })
}

function kindOf(error: unknown): PortErrorKind {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'NotFound'
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return 'Denied'
    default:
      return 'Unavailable'
  }
}

/** A local connection succeeds or fails at once. A full backlog is EAGAIN and counts as nobody listening. */
function connect(tools: Tools, path: string): FdConnection {
  const address = addressOf(path)
  const fd = tools.libc.socket(afUnix, sockStream, 0)
  try {
    tools.libc.connect(fd, address)
    return fdConnection(fd, tools.poller, tools.messages)
  } catch (error) {
    closeSync(fd)
    throw error instanceof SystemError ? new SystemError(`connect ${path}`, error.code) : error
  }
}

function listen(tools: Tools, path: string, mode: number, onConnection: (connection: FdConnection) => void): FdListener {
  const address = addressOf(path)
  removeOldSocket(path)
  const fd = tools.libc.socket(afUnix, sockStream, 0)
  try {
    tools.libc.bind(fd, address)
    // Before `listen`, so that nobody connects while the umask's mode is in effect.
    chmodSync(path, mode)
    tools.libc.listen(fd, backlog)
  } catch (error) {
    closeSync(fd)
    throw error instanceof SystemError ? new SystemError(`bind ${path}`, error.code) : error
  }
  return acceptOn(tools, fd, onConnection)
}

function acceptOn(tools: Tools, fd: number, onConnection: (connection: FdConnection) => void): FdListener {
  let pause: NodeJS.Timeout | undefined
  let open = true
  const acceptAll = (): void => {
    for (let accepted = tools.libc.accept(fd); accepted !== undefined; accepted = tools.libc.accept(fd))
      onConnection(fdConnection(accepted, tools.poller, tools.messages))
  }
  const watch = tools.poller.watch(fd, () => {
    try {
      acceptAll()
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
      // ECONNABORTED resolves automatically. EMFILE and ENOMEM need a pause, since the socket stays ready.
      watch.want(false, false)
      pause = setTimeout(() => watch.want(true, false), acceptPauseMs)
    }
  })
  watch.want(true, false)
  return {
    close() {
      if (!open) return
      open = false
      clearTimeout(pause)
      watch.close()
      closeSync(fd)
    },
  }
}

function removeOldSocket(path: string): void {
  const old = lstatSync(path, { throwIfNoEntry: false })
  if (old === undefined) return
  if (!old.isSocket()) throw new PortError('Invalid', `${path} already exists and is not a socket`)
  unlinkSync(path)
}

/** sockaddr_un: the family and the path with its NUL. */
function addressOf(path: string): Buffer {
  const bytes = Buffer.from(path)
  if (bytes.length > maxSocketPathBytes || bytes.includes(0))
    throw new PortError('Invalid', `${path} cannot be the path of a socket: it is over ${maxSocketPathBytes} bytes`)
  const address = Buffer.alloc(2 + bytes.length + 1)
  address.writeUInt16LE(afUnix, 0)
  address.set(bytes, 2)
  return address
}

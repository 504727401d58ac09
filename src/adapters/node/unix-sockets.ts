import { randomBytes } from 'node:crypto'
import { chmod, lstat, rename, rm } from 'node:fs/promises'
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { PortError } from '../../ports/errors.ts'
import type { FdConnection, FdListener, FdSockets } from '../../ports/fd-socket.ts'

/**
 * Node's own UNIX sockets, without descriptor passing. A listener is created under another name and then renamed. A visible socket is therefore
 * always connectable, and closing an old listener never removes its successor's socket.
 */
export const unixSockets: FdSockets = { connect, listen }

function connect(path: string): Promise<FdConnection> {
  return new Promise((resolve, reject) => {
    const socket = netConnect(path)
    socket.once('connect', () => resolve(connectionOf(socket)))
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      reject(new PortError(cause.code === 'ENOENT' ? 'NotFound' : 'Unavailable', cause.message, { cause }))
    })
  })
}

async function listen(path: string, mode: number, onConnection: (connection: FdConnection) => void): Promise<FdListener> {
  await mustBeSocketOrNothing(path)
  const made = join(dirname(path), `.${randomBytes(4).toString('hex')}.sock`)
  const server = createServer((socket) => onConnection(connectionOf(socket)))
  try {
    await bound(server, made)
    await chmod(made, mode)
    await rename(made, path)
  } catch (cause) {
    server.close()
    await rm(made, { force: true })
    throw new PortError('Invalid', `${path} cannot be opened for listening: ${(cause as Error).message}`, { cause })
  }
  return { close: () => void server.close() }
}

async function mustBeSocketOrNothing(path: string): Promise<void> {
  try {
    if (!(await lstat(path)).isSocket()) throw new PortError('Invalid', `${path} is not a socket`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

function bound(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      // A connection that cannot be accepted (no descriptors left) only affects its caller.
      server.on('error', () => undefined)
      resolve()
    })
  })
}

function connectionOf(socket: Socket): FdConnection {
  let failure: Error | undefined
  const closed = new Promise<Error | undefined>((resolve) => {
    socket.on('error', (error) => {
      failure = error
    })
    socket.once('close', () => resolve(failure))
  })
  let sent: Promise<void> = Promise.resolve()
  return {
    send(bytes, fds = []) {
      if (fds.length > 0) throw new PortError('Invalid', 'descriptors cannot be sent over this socket')
      sent = new Promise((resolve, reject) => {
        socket.write(bytes, (error) => (error ? reject(new PortError('Unavailable', error.message)) : resolve()))
      })
      // `flushed` reports this error to its caller, and `onClose` reports it in any case.
      sent.catch(() => undefined)
    },
    flushed: () => sent,
    onData: (listener) => void socket.on('data', (bytes) => listener(bytes, [])),
    onClose: (listener) => void closed.then(listener),
    close: () => void socket.destroy(),
  }
}

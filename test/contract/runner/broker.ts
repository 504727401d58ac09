/**
 * A broker as far as a runner sees it, with a real TAP of the network namespace it runs in: `broker.ts SOCKET`.
 * Says what happens as JSON lines on stdout. SIGUSR1 sends `powerOff` to the holder.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { fdSockets } from '../../../src/adapters/linux/fd-sockets.ts'
import { loadLibc } from '../../../src/adapters/linux/libc.ts'
import { encodeFrame, frameDecoder } from '../../../src/api/wire/frames.ts'
import type { FdConnection } from '../../../src/ports/fd-socket.ts'

const [socketPath = ''] = process.argv.slice(2)
const tapName = 'sv0123456789ab'
const nic = { name: 'lan', tap: tapName, bridge: 'br0', mac: '52:54:00:12:34:56', mtu: 1500 }
const tunSetIff = 0x400454ca
const tunGetIff = 0x800454d2
const tapFlags = 0x0002 | 0x1000 | 0x4000 // IFF_TAP, IFF_NO_PI, IFF_VNET_HDR

const libc = loadLibc()
let holder: FdConnection | undefined
const queue: FdConnection[] = []

function say(event: string, fields: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`)
}

/** Undefined while somebody else has it attached. */
function openTap(): number | undefined {
  const fd = openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK)
  const request = Buffer.alloc(40)
  request.write(tapName)
  request.writeUInt16LE(tapFlags, 16)
  try {
    libc.ioctl(fd, tunSetIff, request)
    return fd
  } catch (error) {
    closeSync(fd)
    if (error instanceof Error && error.message.includes('EBUSY')) return undefined
    throw error
  }
}

function nameOf(fd: number): string {
  const request = Buffer.alloc(40)
  libc.ioctl(fd, tunGetIff, request)
  return request.toString('latin1', 0, request.indexOf(0))
}

async function grant(connection: FdConnection): Promise<void> {
  const tap = openTap()
  // After a broker's restart a second runner may be back before the true holder, whose TAP speaks for it.
  if (tap === undefined) return wait(connection)
  holder = connection
  connection.send(encodeFrame({ type: 'granted', accelerator: 'tcg', kvm: false, nics: [nic], reclaimed: false }), [tap])
  await connection.flushed()
  closeSync(tap)
  say('granted')
}

function acquire(connection: FdConnection): Promise<void> | undefined {
  if (!holder) return grant(connection)
  wait(connection)
  return undefined
}

function wait(connection: FdConnection): void {
  queue.push(connection)
  connection.send(encodeFrame({ type: 'waiting', reason: 'WaitingForPrevious', message: 'another runner has this VM' }))
  say('waiting')
}

function reclaim(connection: FdConnection, taps: unknown, fds: readonly number[]): void {
  holder = connection
  say('reclaimed', { taps, names: fds.map(nameOf) })
  for (const fd of fds) closeSync(fd)
  connection.send(encodeFrame({ type: 'granted', accelerator: 'tcg', kvm: false, nics: [nic], reclaimed: true }))
}

function serve(connection: FdConnection): void {
  const decoder = frameDecoder()
  let held: number[] = []
  connection.onData((bytes, fds) => {
    held.push(...fds)
    for (const frame of decoder.push(bytes) as { type: string; taps?: unknown }[]) {
      if (frame.type === 'hello') connection.send(encodeFrame({ type: 'welcome', version: 1, bootId: String(process.pid) }))
      if (frame.type === 'acquire') void acquire(connection)
      if (frame.type === 'reclaim') reclaim(connection, frame.taps, held.splice(0))
    }
  })
  connection.onClose(() => {
    for (const fd of held) closeSync(fd)
    held = []
    if (queue.includes(connection)) queue.splice(queue.indexOf(connection), 1)
    if (holder !== connection) return
    holder = undefined
    say('released')
    const next = queue.shift()
    if (next) void grant(next)
  })
}

process.on('SIGUSR1', () => holder?.send(encodeFrame({ type: 'powerOff', message: 'the host goes down' })))
void fdSockets(libc)
  .listen(socketPath, 0o660, serve)
  .then(() => say('listening'))

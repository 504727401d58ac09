import koffi from 'koffi'
import { getSystemErrorName } from 'node:util'

/** A buffer whose address stays the same while it is referenced: never from a pool, never on the JavaScript heap. */
export function pinned(bytes: number): Buffer {
  return Buffer.alloc(bytes)
}

/** A failed system call; `code` is errno's name, such as `EACCES`. */
export class SystemError extends Error {
  override readonly name = 'SystemError'
  readonly code: string

  constructor(call: string, code: string) {
    super(`${call}: ${code}`)
    this.code = code
  }
}

export interface Readiness {
  readonly readable: boolean
  readonly writable: boolean
}

interface RawPoll {
  start(events: Readiness, callback: () => void): void
  stop(): void
  close(): void
}

/**
 * System calls that Node lacks, for 64-bit Linux with glibc. All are made synchronously on the main thread, on descriptors that do not block.
 * Each returns what the call returns; -1 is turned into SystemError, but for `EAGAIN` where it says `| undefined`.
 */
export interface Libc {
  socket(domain: number, type: number, protocol: number): number
  bind(fd: number, address: Buffer): void
  connect(fd: number, address: Buffer): void
  listen(fd: number, backlog: number): void
  accept(fd: number): number | undefined
  setsockopt(fd: number, level: number, option: number, value: Buffer): void
  shutdown(fd: number, how: number): void
  sendmsg(fd: number, header: Buffer, flags: number): number | undefined
  recvmsg(fd: number, header: Buffer, flags: number): number | undefined
  sendto(fd: number, bytes: Buffer, address: Buffer): void
  ioctl(fd: number, request: number, argument: Buffer): void
  /** For requests that take a number in place of a pointer. */
  ioctlValue(fd: number, request: number, value: number): number
  fcntl(fd: number, command: number, argument: Buffer): void
  /** For commands that take a number in place of a pointer. */
  fcntlValue(fd: number, command: number, value: number): number
  /** Of a buffer made by `pinned`, for structures that hold pointers. */
  address(buffer: Buffer): bigint
  /** A handle of libuv's on a descriptor that libuv does not know otherwise. The callback runs outside of Node's callback scope. */
  poll(fd: number): RawPoll
}

const sockNonblockCloexec = 0x80800

type IntCall = (...args: (number | bigint | Buffer | null)[]) => number

/** Loads libc once; the only place where koffi is used. */
export function loadLibc(): Libc {
  const library = koffi.load('libc.so.6')
  const declare = (prototype: string): IntCall => library.func(prototype)
  const socket = declare('int socket(int, int, int)')
  const bind = declare('int bind(int, void *, uint32_t)')
  const connect = declare('int connect(int, void *, uint32_t)')
  const listen = declare('int listen(int, int)')
  const accept4 = declare('int accept4(int, void *, void *, int)')
  const shutdown = declare('int shutdown(int, int)')
  const setsockopt = declare('int setsockopt(int, int, int, void *, uint32_t)')
  // koffi knows no ssize_t.
  const sendmsg = declare('int64_t sendmsg(int, void *, int)')
  const recvmsg = declare('int64_t recvmsg(int, void *, int)')
  const sendto = declare('int64_t sendto(int, void *, size_t, int, void *, uint32_t)')
  // Variadic in C; on the 64-bit Linux ABIs in use the third argument goes the same way as a fixed one.
  const ioctl = declare('int ioctl(int, unsigned long, void *)')
  const ioctlValue = library.func('ioctl', 'int', ['int', 'unsigned long', 'int64_t']) as IntCall
  const fcntl = declare('int fcntl(int, int, void *)')
  const fcntlValue = library.func('fcntl', 'int', ['int', 'int', 'int64_t']) as IntCall
  const must = (call: string, result: number): number => {
    if (result === -1) throw new SystemError(call, errorCode())
    return result
  }
  const unlessAgain = (call: string, result: number): number | undefined => {
    if (result !== -1) return result
    const code = errorCode()
    if (code === 'EAGAIN' || code === 'EINTR') return undefined
    throw new SystemError(call, code)
  }
  return {
    socket: (domain, type, protocol) => must('socket', socket(domain, type | sockNonblockCloexec, protocol)),
    bind: (fd, address) => void must('bind', bind(fd, address, address.length)),
    connect: (fd, address) => void must('connect', connect(fd, address, address.length)),
    listen: (fd, backlog) => void must('listen', listen(fd, backlog)),
    accept: (fd) => unlessAgain('accept', accept4(fd, null, null, sockNonblockCloexec)),
    setsockopt: (fd, level, option, value) => void must('setsockopt', setsockopt(fd, level, option, value, value.length)),
    shutdown: (fd, how) => void must('shutdown', shutdown(fd, how)),
    sendmsg: (fd, header, flags) => unlessAgain('sendmsg', sendmsg(fd, header, flags)),
    recvmsg: (fd, header, flags) => unlessAgain('recvmsg', recvmsg(fd, header, flags)),
    sendto: (fd, bytes, address) => void must('sendto', sendto(fd, bytes, bytes.length, 0, address, address.length)),
    ioctl: (fd, request, argument) => void must('ioctl', ioctl(fd, request, argument)),
    ioctlValue: (fd, request, value) => must('ioctl', ioctlValue(fd, request, value)),
    fcntl: (fd, command, argument) => void must('fcntl', fcntl(fd, command, argument)),
    fcntlValue: (fd, command, value) => must('fcntl', fcntlValue(fd, command, value)),
    address: (buffer) => koffi.address(buffer),
    poll: rawPoll,
  }
}

function errorCode(): string {
  return getSystemErrorName(-koffi.errno())
}

function rawPoll(fd: number): RawPoll {
  const handle = koffi.node.poll(fd, { readable: true }, () => undefined)
  handle.stop()
  return {
    start: (events, callback) => handle.start({ ...events }, callback),
    stop: () => handle.stop(),
    close: () => handle.close(),
  }
}

import koffi from 'koffi'
import { getSystemErrorName } from 'node:util'

/** A buffer whose address stays fixed while it is referenced: not from a pool, and not on the JavaScript heap. */
export function pinned(bytes: number): Buffer {
  return Buffer.alloc(bytes)
}

/** A failed system call. `code` is the errno name, such as `EACCES`. */
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
 * System calls that Node lacks, for 64-bit Linux with glibc. They run synchronously on the main thread, on non-blocking descriptors. Each returns the
 * call's result. -1 becomes a SystemError, except for `EAGAIN` if the type has `| undefined`.
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
  /** For requests with a number instead of a pointer. */
  ioctlValue(fd: number, request: number, value: number): number
  fcntl(fd: number, command: number, argument: Buffer): void
  /** For commands with a number instead of a pointer. */
  fcntlValue(fd: number, command: number, value: number): number
  mknod(path: string, mode: number, device: bigint): void
  /** `EBUSY` for its number. */
  errorName(code: number): string
  /** The address of a `pinned` buffer, for structures that hold pointers. */
  address(buffer: Buffer): bigint
  /** A libuv handle for a descriptor that libuv does not know. The callback runs outside Node's callback scope. */
  poll(fd: number): RawPoll
}

const sockNonblockCloexec = 0x80800

type IntCall = (...args: (number | bigint | Buffer | null)[]) => number

/** Loads libc once. This is the only use of koffi. */
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
  // koffi has no ssize_t.
  const sendmsg = declare('int64_t sendmsg(int, void *, int)')
  const recvmsg = declare('int64_t recvmsg(int, void *, int)')
  const sendto = declare('int64_t sendto(int, void *, size_t, int, void *, uint32_t)')
  // Variadic in C. On the supported 64-bit Linux ABIs, the third argument is passed like a fixed one.
  const ioctl = declare('int ioctl(int, unsigned long, void *)')
  const ioctlValue = library.func('ioctl', 'int', ['int', 'unsigned long', 'int64_t']) as IntCall
  const fcntl = declare('int fcntl(int, int, void *)')
  const mknod = library.func('mknod', 'int', ['str', 'uint32_t', 'uint64_t']) as (path: string, mode: number, device: bigint) => number
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
    mknod: (path, mode, device) => void must('mknod', mknod(path, mode, device)),
    errorName: (code) => getSystemErrorName(-code),
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

import { closeSync, fstatSync } from 'node:fs'
import { type Libc, pinned, SystemError } from './libc.ts'
import { messageBuffers } from './message-buffers.ts'

/** SCM_RIGHTS over stream sockets, in the 64-bit layouts of msghdr, iovec and cmsghdr (cmsg(3), unix(7)). */

const solSocket = 1
const soLinger = 13
const shutRd = 0
const scmRights = 1
const msgDontwait = 0x40
const msgNosignal = 0x4000
const msgCmsgCloexec = 0x4000_0000
const msgCtrunc = 0x8

/** KVM and eight TAPs are nine; what is over this many in one message closes the connection. */
const maxFdsPerMessage = 16
/** The kernel's own limit (SCM_MAX_FD): with room for all, it is never the kernel that closes what is too much. */
const maxFdsReceived = 253
/** More than fits into a socket's buffer. */
const maxDrained = 4096
/** Bytes per call; longer messages take several. */
const chunkBytes = 64 * 1024
const cmsgHeaderBytes = 16
const controlBytes = cmsgHeaderBytes + Math.ceil(maxFdsReceived / 2) * 8

type Received = { readonly kind: 'data'; readonly bytes: Uint8Array; readonly fds: number[] } | { readonly kind: 'end' }

export interface Messages {
  /** Bytes the kernel took, possibly fewer than given; undefined when it takes none now. Throws SystemError. */
  send(fd: number, bytes: Uint8Array, fds: readonly number[]): number | undefined
  /** Undefined when there is nothing now. Throws SystemError, and Error where descriptors came that are too many or sockets; none stays open then. */
  receive(fd: number): Received | undefined
  /** Before a socket is closed: takes in no more and closes what came and was not read, which the kernel would do otherwise. Never throws. */
  drain(fd: number): void
}

/** One set of buffers for all sockets of a process: a call never waits, so it never meets another. */
export function messages(libc: Libc): Messages {
  const buffers = messageBuffers(libc, { name: 0, control: controlBytes, data: chunkBytes })
  const { control, data, header } = buffers
  const receive = (fd: number): Received | undefined => {
    buffers.prepare(chunkBytes, controlBytes)
    const length = libc.recvmsg(fd, header, msgDontwait | msgCmsgCloexec)
    if (length === undefined) return undefined
    const fds = readRights(control.subarray(0, buffers.controlLength()))
    const why = (buffers.flags() & msgCtrunc) !== 0 ? 'more descriptors than can be taken' : whyUnwelcome(fds)
    if (why !== undefined) {
      closeUnwelcome(libc, fds)
      throw new Error(`a peer sent ${why}`)
    }
    return length === 0 ? endOf(fds) : { kind: 'data', bytes: Uint8Array.from(data.subarray(0, length)), fds }
  }
  return {
    send(fd, bytes, fds) {
      const part = bytes.subarray(0, chunkBytes)
      data.set(part)
      buffers.prepare(part.length, fds.length === 0 ? 0 : writeRights(control, fds))
      return libc.sendmsg(fd, header, msgDontwait | msgNosignal)
    },
    receive,
    drain(fd) {
      try {
        libc.shutdown(fd, shutRd)
      } catch {
        // Not connected any more: what came before is still there.
      }
      for (let count = 0; count < maxDrained; count++) {
        try {
          const received = receive(fd)
          if (received === undefined || received.kind === 'end') return
          closeAll(received.fds)
        } catch (error) {
          // Unwelcome descriptors are closed; there may be more behind them.
          if (error instanceof SystemError) return
        }
      }
    },
  }
}

function whyUnwelcome(fds: readonly number[]): string | undefined {
  if (fds.length > maxFdsPerMessage) return `more than ${maxFdsPerMessage} descriptors at once`
  return fds.some(isSocket) ? 'a socket, which nobody here has a use for' : undefined
}

function isSocket(fd: number): boolean {
  return fstatSync(fd).isSocket()
}

/**
 * With SO_LINGER and data that nobody takes, the last close() of a socket waits as long as its maker wishes, even of one that does not block. So
 * sockets are never kept, and are closed with that turned off.
 */
function closeUnwelcome(libc: Libc, fds: readonly number[]): void {
  for (const fd of fds) {
    try {
      if (isSocket(fd)) libc.setsockopt(fd, solSocket, soLinger, pinned(8))
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
    } finally {
      closeSync(fd)
    }
  }
}

function endOf(fds: readonly number[]): Received {
  closeAll(fds)
  return { kind: 'end' }
}

export function closeAll(fds: readonly number[]): void {
  for (const fd of fds) closeSync(fd)
}

function writeRights(control: Buffer, fds: readonly number[]): number {
  if (fds.length > maxFdsPerMessage) throw new RangeError(`at most ${maxFdsPerMessage} descriptors fit into a message`)
  const length = cmsgHeaderBytes + fds.length * 4
  control.fill(0)
  control.writeBigUInt64LE(BigInt(length), 0)
  control.writeInt32LE(solSocket, 8)
  control.writeInt32LE(scmRights, 12)
  for (const [index, fd] of fds.entries()) control.writeInt32LE(fd, cmsgHeaderBytes + index * 4)
  return Math.ceil(length / 8) * 8
}

function readRights(control: Buffer): number[] {
  const fds: number[] = []
  for (let at = 0; at + cmsgHeaderBytes <= control.length; ) {
    const length = Number(control.readBigUInt64LE(at))
    if (length < cmsgHeaderBytes) break
    if (control.readInt32LE(at + 8) === solSocket && control.readInt32LE(at + 12) === scmRights) {
      for (let each = at + cmsgHeaderBytes; each + 4 <= Math.min(at + length, control.length); each += 4)
        fds.push(control.readInt32LE(each))
    }
    at += Math.ceil(length / 8) * 8
  }
  return fds
}

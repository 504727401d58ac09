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

/** KVM, and eight macvtaps with their tokens, are 17. A message with more descriptors than this closes the connection. */
const maxFdsPerMessage = 17
/** The kernel's own limit (SCM_MAX_FD). With this much room, the kernel never drops descriptors itself. */
const maxFdsReceived = 253
/** More than a socket buffer can hold. */
const maxDrained = 4096
/** Bytes per call. A longer message takes several calls. */
const chunkBytes = 64 * 1024
const cmsgHeaderBytes = 16
const controlBytes = cmsgHeaderBytes + Math.ceil(maxFdsReceived / 2) * 8

type Received = { readonly kind: 'data'; readonly bytes: Uint8Array; readonly fds: number[] } | { readonly kind: 'end' }

export interface Messages {
  /** Returns the number of bytes sent, possibly fewer than given. Undefined if the socket accepts none now. Throws SystemError. */
  send(fd: number, bytes: Uint8Array, fds: readonly number[]): number | undefined
  /** Undefined if there is no data now. Throws SystemError, and Error if too many descriptors or sockets arrived. Those are all closed. */
  receive(fd: number): Received | undefined
  /** Call this before a socket is closed: stops receiving, and closes unread descriptors without blocking. Never throws. */
  drain(fd: number): void
}

/** One set of buffers for all sockets of a process. Calls are synchronous, so they never overlap. */
export function messages(libc: Libc): Messages {
  const buffers = messageBuffers(libc, { name: 0, control: controlBytes, data: chunkBytes })
  const { control, data, header } = buffers
  const receive = (fd: number): Received | undefined => {
    buffers.prepare(chunkBytes, controlBytes)
    const length = libc.recvmsg(fd, header, msgDontwait | msgCmsgCloexec)
    if (length === undefined) return undefined
    const fds = readRights(control.subarray(0, buffers.controlLength()))
    const why = (buffers.flags() & msgCtrunc) !== 0 ? 'more descriptors than the limit' : whyUnwelcome(fds)
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
        // Disconnected, but earlier data can still be read.
      }
      for (let count = 0; count < maxDrained; count++) {
        try {
          const received = receive(fd)
          if (received === undefined || received.kind === 'end') return
          closeAll(received.fds)
        } catch (error) {
          // Unexpected descriptors are closed. More may follow.
          if (error instanceof SystemError) return
        }
      }
    },
  }
}

function whyUnwelcome(fds: readonly number[]): string | undefined {
  if (fds.length > maxFdsPerMessage) return `more than ${maxFdsPerMessage} descriptors at once`
  return fds.some(isSocket) ? 'an unexpected socket' : undefined
}

function isSocket(fd: number): boolean {
  return fstatSync(fd).isSocket()
}

/**
 * The last close() of a socket with SO_LINGER and unsent data blocks as long as its creator chose, even if it is non-blocking. Received sockets are
 * therefore closed with SO_LINGER turned off.
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
  if (fds.length > maxFdsPerMessage) throw new RangeError(`a message can have at most ${maxFdsPerMessage} descriptors`)
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

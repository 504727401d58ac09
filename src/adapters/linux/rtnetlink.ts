import { closeSync } from 'node:fs'
import { type Libc, pinned, SystemError } from './libc.ts'
import { messageBuffers } from './message-buffers.ts'

const afNetlink = 16
const sockRaw = 3
const nlmsgError = 2
const nlmFRequest = 1
const nlmFAck = 4
const nlaNested = 0x8000
const headerBytes = 16
const linkBytes = 16
const answerBytes = 4096

/** Message types of rtnetlink(7). */
export const newLink = 16
export const delLink = 17
export const setLink = 19
/** Flags of `newLink` that create the link and fail if it exists. */
export const createOnly = 0x400 | 0x200

type Value = Buffer | readonly Attribute[]
/** Netlink attribute: its type, and its value or nested attributes. */
export type Attribute = readonly [type: number, value: Value]

export interface LinkMessage {
  readonly type: typeof newLink | typeof delLink | typeof setLink
  /** Flags of the message in addition to request and acknowledgement. */
  readonly flags?: number
  /** Address family: 0, or 7 for a bridge port. */
  readonly family: number
  /** 0 for a link that does not exist yet. */
  readonly index: number
  /** Interface flags, and the mask of those that change. */
  readonly interfaceFlags?: { readonly flags: number; readonly change: number }
  readonly attributes: readonly Attribute[]
}

/** struct nlmsghdr and struct ifinfomsg, then the attributes, each padded to four bytes. */
export function encodeLink({ type, flags = 0, family, index, interfaceFlags, attributes }: LinkMessage): Buffer {
  const body = encodeAttributes(attributes)
  const message = pinned(headerBytes + linkBytes + body.length)
  message.writeUInt32LE(message.length, 0)
  message.writeUInt16LE(type, 4)
  message.writeUInt16LE(nlmFRequest | nlmFAck | flags, 6)
  message.writeUInt8(family, headerBytes)
  message.writeInt32LE(index, headerBytes + 4)
  message.writeUInt32LE(interfaceFlags?.flags ?? 0, headerBytes + 8)
  message.writeUInt32LE(interfaceFlags?.change ?? 0, headerBytes + 12)
  message.set(body, headerBytes + linkBytes)
  return message
}

function encodeAttributes(attributes: readonly Attribute[]): Buffer {
  return Buffer.concat(
    attributes.map(([type, value]) => {
      const isNested = !Buffer.isBuffer(value)
      const content = isNested ? encodeAttributes(value) : value
      const bytes = Buffer.alloc(4 + Math.ceil(content.length / 4) * 4)
      bytes.writeUInt16LE(4 + content.length, 0)
      bytes.writeUInt16LE(type | (isNested ? nlaNested : 0), 2)
      bytes.set(content, 4)
      return bytes
    }),
  )
}

export function u8(value: number): Buffer {
  return Buffer.from([value])
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value, 0)
  return bytes
}

export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`, 'latin1')
}

/** Sends one message and reads its acknowledgement; the kernel handles it during the call. Throws SystemError with the kernel's error. */
export function requestLink(libc: Libc, message: LinkMessage): void {
  const fd = libc.socket(afNetlink, sockRaw, 0)
  try {
    const kernel = pinned(12)
    kernel.writeUInt16LE(afNetlink, 0)
    libc.sendto(fd, encodeLink(message), kernel)
    const code = acknowledgement(libc, fd)
    if (code !== 0) throw new SystemError('rtnetlink', libc.errorName(code))
  } finally {
    closeSync(fd)
  }
}

/** The error number of the kernel's answer; 0 for success. */
function acknowledgement(libc: Libc, fd: number): number {
  const buffers = messageBuffers(libc, { name: 12, control: 0, data: answerBytes })
  buffers.prepare(answerBytes, 0)
  const length = libc.recvmsg(fd, buffers.header, 0) ?? 0
  if (length < headerBytes + 4 || buffers.data.readUInt16LE(4) !== nlmsgError) throw new SystemError('rtnetlink', 'EPROTO')
  return -buffers.data.readInt32LE(headerBytes)
}

import { closeSync } from 'node:fs'
import { type Libc, pinned, SystemError } from './libc.ts'

const afNetlink = 16
const sockRaw = 3
const rtmNewlink = 16
const nlmFRequest = 1
const iflaAfSpec = 26
const nlaNested = 0x8000
const afInet6 = 10
const iflaInet6AddrGenMode = 8
const addrGenModeNone = 1

/**
 * Keeps the kernel from adding an IPv6 link-local address to an interface, so that the host does not talk to a guest on its TAP (rtnetlink(7)). Best
 * effort: a kernel without IPv6 needs nothing.
 */
export function addressGenerationOff(libc: Libc, index: number): void {
  // nlmsghdr 16, ifinfomsg 16, then AF_SPEC { AF_INET6 { ADDR_GEN_MODE u8 } }, each attribute padded to four bytes.
  const message = pinned(16 + 16 + 16)
  message.writeUInt32LE(message.length, 0)
  message.writeUInt16LE(rtmNewlink, 4)
  message.writeUInt16LE(nlmFRequest, 6)
  message.writeInt32LE(index, 20)
  message.writeUInt16LE(16, 32)
  message.writeUInt16LE(iflaAfSpec | nlaNested, 34)
  message.writeUInt16LE(12, 36)
  message.writeUInt16LE(afInet6 | nlaNested, 38)
  message.writeUInt16LE(5, 40)
  message.writeUInt16LE(iflaInet6AddrGenMode, 42)
  message.writeUInt8(addrGenModeNone, 44)
  const kernel = pinned(12)
  kernel.writeUInt16LE(afNetlink, 0)
  const fd = libc.socket(afNetlink, sockRaw, 0)
  try {
    libc.sendto(fd, message, kernel)
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
  } finally {
    closeSync(fd)
  }
}

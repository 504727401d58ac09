import { closeSync } from 'node:fs'
import { HostError, type PacketListener } from '../../ports/host-network.ts'
import { interfaceIndex } from './interfaces.ts'
import { type Libc, pinned } from './libc.ts'
import { messageBuffers } from './message-buffers.ts'
import type { Poller } from './poller.ts'

const afPacket = 17
const sockRaw = 3
const solSocket = 1
const soRcvbuf = 8
const soAttachFilter = 26
const ethPAll = 0x0003
export const ethPArp = 0x0806
const linkAddressBytes = 20
const packetTypeAt = 10
const packetOutgoing = 4

/** Far more than any DHCP message that a client must accept (RFC 2131: 576 bytes). The rest of a frame is ignored. */
const snapBytes = 2048
/** Limits the kernel's buffer during a flood. Dropped frames do not matter, since addresses are announced again soon. */
const receiveBufferBytes = 64 * 1024
/** Maximum number of frames per turn, so that one guest does not block the event loop. */
const maxFramesPerTurn = 64
const floodPauseMs = 100

const fprogBytes = 16
type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, value: number]

/** Classic BPF: untagged frames that are ARP, or UDP over unfragmented IPv4 from a DHCP server's port (67) or a DHCP client's (68). */
const arpAndDhcp: readonly Instruction[] = [
  [0x20, 0, 0, 0xffff_f030], //  0 A = SKF_AD_VLAN_TAG_PRESENT
  [0x15, 0, 11, 0], //           1 tagged: drop
  [0x28, 0, 0, 12], //           2 A = EtherType
  [0x15, 10, 0, 0x0806], //      3 ARP: take
  [0x15, 0, 8, 0x0800], //       4 no IPv4: drop
  [0x30, 0, 0, 23], //           5 A = protocol
  [0x15, 0, 6, 17], //           6 no UDP: drop
  [0x28, 0, 0, 20], //           7 A = fragment field
  [0x45, 4, 0, 0x1fff], //       8 not the first: drop
  [0xb1, 0, 0, 14], //           9 X = 4 * (IP header length)
  [0x48, 0, 0, 14], //          10 A = UDP source port
  [0x15, 2, 0, 67], //          11 a DHCP server's: take
  [0x15, 1, 0, 68], //          12 a DHCP client's: take
  [0x06, 0, 0, 0], //           13 drop
  [0x06, 0, 0, snapBytes], //   14 take
]

/** struct sock_fprog, and after it in the same allocation the instructions it points to. */
function attachFilter(libc: Libc, fd: number, program: readonly Instruction[]): void {
  const filter = pinned(fprogBytes + program.length * 8)
  filter.writeUInt16LE(program.length, 0)
  filter.writeBigUInt64LE(libc.address(filter) + BigInt(fprogBytes), 8)
  for (const [index, [code, jumpTrue, jumpFalse, value]] of program.entries()) {
    const at = fprogBytes + index * 8
    filter.writeUInt16LE(code, at)
    filter.writeUInt8(jumpTrue, at + 2)
    filter.writeUInt8(jumpFalse, at + 3)
    filter.writeUInt32LE(value, at + 4)
  }
  libc.setsockopt(fd, solSocket, soAttachFilter, filter.subarray(0, fprogBytes))
}

/** struct sockaddr_ll; packet(7). */
export function linkAddress(protocol: number, index: number): Buffer {
  const address = pinned(linkAddressBytes)
  address.writeUInt16LE(afPacket, 0)
  address.writeUInt16BE(protocol, 2)
  address.writeInt32LE(index, 4)
  return address
}

/** Bound to one interface. Receives nothing before it is bound and filtered. Throws SystemError. */
export function packetSocket(libc: Libc, index: number, kind: 'arpAndDhcp' | 'arp'): number {
  const fd = libc.socket(afPacket, sockRaw, 0)
  try {
    const size = pinned(4)
    size.writeInt32LE(receiveBufferBytes)
    libc.setsockopt(fd, solSocket, soRcvbuf, size)
    if (kind === 'arpAndDhcp') attachFilter(libc, fd, arpAndDhcp)
    // A bridge takes its ports' frames before sockets of a single protocol receive them. Only sockets for all protocols come earlier.
    libc.bind(fd, linkAddress(kind === 'arp' ? ethPArp : ethPAll, index))
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

export interface PacketReader {
  /** Undefined if there is no frame now. The frame is valid until the next read. Throws SystemError, with ENETDOWN if the interface is gone. */
  read(fd: number): { readonly frame: Uint8Array; readonly direction: 'received' | 'sent' } | undefined
}

/** One set of buffers for all packet sockets of a process. */
export function packetReader(libc: Libc): PacketReader {
  const buffers = messageBuffers(libc, { name: linkAddressBytes, control: 0, data: snapBytes })
  return {
    read(fd) {
      buffers.prepare(snapBytes, 0)
      const length = libc.recvmsg(fd, buffers.header, 0)
      if (length === undefined) return undefined
      return { frame: buffers.data.subarray(0, length), direction: buffers.name[packetTypeAt] === packetOutgoing ? 'sent' : 'received' }
    },
  }
}

export function packetListener(libc: Libc, poller: Poller): PacketListener {
  const reader = packetReader(libc)
  return {
    listen(interfaceName, onFrame, onEnd) {
      const fd = openListener(libc, interfaceName)
      let pause: NodeJS.Timeout | undefined
      let open = true
      const readSome = (): void => {
        for (let count = 0; count < maxFramesPerTurn; count++) {
          const packet = reader.read(fd)
          if (packet === undefined) return
          onFrame(packet.frame, packet.direction)
          if (!open) return
        }
        watch.want(false, false)
        pause = setTimeout(() => watch.want(true, false), floodPauseMs)
      }
      const close = (): void => {
        if (!open) return
        open = false
        clearTimeout(pause)
        watch.close()
        closeSync(fd)
      }
      const watch = poller.watch(fd, () => {
        try {
          readSome()
        } catch {
          // ENETDOWN: the interface is down or removed, so no more frames arrive.
          close()
          onEnd()
        }
      })
      watch.want(true, false)
      return { close }
    },
  }
}

function openListener(libc: Libc, interfaceName: string): number {
  const index = interfaceIndex(interfaceName)
  if (index === undefined) throw new HostError('Io', `there is no interface ${interfaceName}`)
  try {
    return packetSocket(libc, index, 'arpAndDhcp')
  } catch (cause) {
    throw new HostError('Io', `cannot listen on ${interfaceName}: ${(cause as Error).message}`, { cause })
  }
}

import { type Libc, SystemError } from './libc.ts'
import { newLink, requestLink, u8 } from './rtnetlink.ts'

const iflaAfSpec = 26
const afInet6 = 10
const iflaInet6AddrGenMode = 8
const addrGenModeNone = 1

/**
 * Keeps the kernel from adding an IPv6 link-local address to an interface, so that the host does not talk to a guest on its TAP (rtnetlink(7)). Best
 * effort: a kernel without IPv6 needs nothing.
 */
export function addressGenerationOff(libc: Libc, index: number): void {
  try {
    const attributes = [[iflaAfSpec, [[afInet6, [[iflaInet6AddrGenMode, u8(addrGenModeNone)]]]]]] as const
    requestLink(libc, { type: newLink, family: 0, index, attributes })
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
  }
}

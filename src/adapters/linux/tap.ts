import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs'
import { macBytes } from '../../api/packets.ts'
import { HostError, type TapOrder } from '../../ports/host-network.ts'
import { isolatePort, setPortVlan } from './bridge-port.ts'
import { defaultVlan, ifreq, interfaceExists, interfaceIndex, onInterface, tunFlags } from './interfaces.ts'
import { type Libc, SystemError } from './libc.ts'
import { addressGenerationOff } from './link-addresses.ts'

const tunDevice = '/dev/net/tun'
/** Major 10, minor 200 (admin-guide/devices.txt). */
const tunRdev = (10 << 8) | 200

const tunsetiff = 0x4004_54ca
const tunsetpersist = 0x4004_54cb
const tungetiff = 0x8004_54d2
const tungetdevnetns = 0x54e3
const iffTap = 0x0002
const iffPersist = 0x0800
const iffNoPi = 0x1000
const iffVnetHdr = 0x4000

const siocgifflags = 0x8913
const siocsifflags = 0x8914
const siocsifmtu = 0x8922
const siocsifhwaddr = 0x8924
const siocbraddif = 0x89a2
const arphrdEther = 1
const iffUp = 1

function openTun(): number {
  try {
    return openSync(tunDevice, constants.O_RDWR | constants.O_NONBLOCK)
  } catch (cause) {
    throw new HostError('DeviceMissing', `${tunDevice} cannot be opened: ${(cause as Error).message}`, { cause })
  }
}

/** For the descriptor of a TAP or a macvtap. A TAP is created if it is missing. */
export function setTapMode(libc: Libc, fd: number, name: string): void {
  const request = ifreq(name)
  request.writeUInt16LE(iffTap | iffNoPi | iffVnetHdr, 16)
  libc.ioctl(fd, tunsetiff, request)
}

/** Attaches to the interface, and creates it if it is missing. */
function attach(libc: Libc, name: string): number {
  const fd = openTun()
  try {
    setTapMode(libc, fd, name)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

export function makeTap(libc: Libc, order: TapOrder): number {
  const fd = attachOwn(libc, order.name)
  try {
    onInterface(libc, (control) => configure(libc, control, order))
    return fd
  } catch (error) {
    closeSync(fd)
    if (error instanceof SystemError && interfaceIndex(order.bridge) === undefined)
      throw new HostError('BridgeMissing', `there is no bridge ${order.bridge}`, { cause: error })
    throw new HostError('Io', `cannot set up the TAP ${order.name}: ${(error as Error).message}`, { cause: error })
  }
}

/** A TAP that stays down and on no bridge. */
export function attachToken(libc: Libc, name: string): number {
  return attachOwn(libc, name)
}

function attachOwn(libc: Libc, name: string): number {
  try {
    return attach(libc, name)
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
    if (error.code === 'EBUSY') throw new HostError('TapBusy', `a process has the TAP ${name} attached`, { cause: error })
    throw new HostError('Io', `cannot create the TAP ${name}: ${error.message}; check that the broker has NET_ADMIN`, { cause: error })
  }
}

/** Sets MAC and MTU before the bridge: a bridge without its own values adopts the lowest MAC and the smallest MTU of its ports. */
function configure(libc: Libc, control: number, order: TapOrder): void {
  const mac = ifreq(order.name)
  mac.writeUInt16LE(arphrdEther, 16)
  mac.set(macBytes(order.mac), 18)
  libc.ioctl(control, siocsifhwaddr, mac)
  const mtu = ifreq(order.name)
  mtu.writeInt32LE(order.mtu, 16)
  libc.ioctl(control, siocsifmtu, mtu)
  const index = interfaceIndex(order.name)
  if (index === undefined) throw new Error('it is gone again')
  addressGenerationOff(libc, index)
  const port = ifreq(order.bridge)
  port.writeInt32LE(index, 16)
  libc.ioctl(control, siocbraddif, port)
  if (order.vlan !== undefined) setPortVlan(libc, order.name, order.vlan, defaultVlan(order.bridge))
  if (order.isolated === true) isolatePort(libc, order.name)
  const flags = ifreq(order.name)
  libc.ioctl(control, siocgifflags, flags)
  flags.writeUInt16LE(flags.readUInt16LE(16) | iffUp, 16)
  libc.ioctl(control, siocsifflags, flags)
}

/** A TAP without the persistent flag only exists while a process has its descriptor open. */
export function clearTap(libc: Libc, name: string): 'absent' | 'removed' | 'attached' {
  const flags = tunFlags(name)
  if (flags === undefined) return interfaceExists(name) ? 'attached' : 'absent'
  if ((flags & iffPersist) === 0) return 'attached'
  try {
    const fd = attach(libc, name)
    try {
      libc.ioctlValue(fd, tunsetpersist, 0)
    } finally {
      closeSync(fd)
    }
    return 'removed'
  } catch (error) {
    if (error instanceof SystemError) return 'attached'
    throw error
  }
}

export function tapOf(libc: Libc, fd: number): string | undefined {
  // The same request number has another meaning in other drivers.
  if (fstatSync(fd).rdev !== tunRdev) return undefined
  const request = ifreq('')
  try {
    libc.ioctl(fd, tungetiff, request)
    if ((request.readUInt16LE(16) & iffTap) === 0 || !isInOurNamespace(libc, fd)) return undefined
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
  return request.toString('latin1', 0, Math.max(0, request.indexOf(0)))
}

/** An interface with the same name in another namespace proves nothing. */
function isInOurNamespace(libc: Libc, fd: number): boolean {
  const namespace = libc.ioctlValue(fd, tungetdevnetns, 0)
  try {
    return fstatSync(namespace).ino === statSync('/proc/self/ns/net').ino
  } finally {
    closeSync(namespace)
  }
}

import { closeSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import type { BridgeFact } from '../../api/wire/broker-admin.ts'
import { type Libc, pinned, SystemError } from './libc.ts'

const afInet = 2
const sockDgram = 2
/** struct ifreq: a name of 16 bytes and a union of 24. */
const ifreqBytes = 40
const siocgifaddr = 0x8915
const iffUp = 1

/** What sysfs says of this network namespace. A file that goes away while it is read is an interface that went away. */
function attribute(name: string, file: string): string | undefined {
  try {
    return readFileSync(`/sys/class/net/${name}/${file}`, 'utf8').trim()
  } catch {
    // `carrier` of an interface that is down is EINVAL, and counts as unknown like one that is gone.
    return undefined
  }
}

export function interfaceExists(name: string): boolean {
  return existsSync(`/sys/class/net/${name}`)
}

export function interfaceIndex(name: string): number | undefined {
  const text = attribute(name, 'ifindex')
  return text === undefined ? undefined : Number(text)
}

export function interfaceMac(name: string): string | undefined {
  return attribute(name, 'address')
}

export function interfaceCarrier(name: string): boolean {
  return attribute(name, 'carrier') === '1'
}

/** Undefined where it is no TUN or TAP; the flags are those of if_tun.h. */
export function tunFlags(name: string): number | undefined {
  const text = attribute(name, 'tun_flags')
  return text === undefined ? undefined : Number(text)
}

export function bridgePorts(bridge: string): string[] {
  try {
    return readdirSync(`/sys/class/net/${bridge}/brif`)
  } catch {
    return []
  }
}

export function bridgeFact(libc: Libc, name: string): BridgeFact | undefined {
  const mtu = attribute(name, 'mtu')
  if (mtu === undefined || !existsSync(`/sys/class/net/${name}/bridge`)) return undefined
  return {
    name,
    mtu: Number(mtu),
    carrier: interfaceCarrier(name),
    up: (Number(attribute(name, 'flags') ?? 0) & iffUp) !== 0,
    address: firstAddress(libc, name),
  }
}

export function ifreq(name: string): Buffer {
  const request = pinned(ifreqBytes)
  // The sixteenth byte stays NUL.
  request.write(name, 0, 15, 'latin1')
  return request
}

/** One ioctl on an interface; netdevice(7). */
export function onInterface<T>(libc: Libc, work: (fd: number) => T): T {
  const fd = libc.socket(afInet, sockDgram, 0)
  try {
    return work(fd)
  } finally {
    closeSync(fd)
  }
}

function firstAddress(libc: Libc, name: string): string | null {
  return onInterface(libc, (fd) => {
    const request = ifreq(name)
    try {
      libc.ioctl(fd, siocgifaddr, request)
    } catch (error) {
      if (error instanceof SystemError) return null
      throw error
    }
    return request.subarray(20, 24).join('.')
  })
}

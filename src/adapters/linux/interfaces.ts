import { closeSync, existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import type { BridgeFact } from '../../api/wire/broker-admin.ts'
import { type Libc, pinned, SystemError } from './libc.ts'

const afInet = 2
const sockDgram = 2
/** struct ifreq: a name of 16 bytes and a union of 24. */
const ifreqBytes = 40
const siocgifaddr = 0x8915
const iffUp = 1

/** Reads sysfs of this network namespace. If the file disappears during the read, the interface was removed. */
function attribute(name: string, file: string): string | undefined {
  try {
    return readFileSync(`/sys/class/net/${name}/${file}`, 'utf8').trim()
  } catch {
    // `carrier` of an interface that is down is EINVAL. It counts as unknown.
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

export function interfaceMtu(name: string): number | undefined {
  const text = attribute(name, 'mtu')
  return text === undefined ? undefined : Number(text)
}

/** The VLAN that a bridge gives to new ports; 0 for none. */
export function defaultVlan(bridge: string): number {
  return Number(attribute(bridge, 'bridge/default_pvid') ?? 0)
}

function vlanFiltering(bridge: string): BridgeFact['vlanFiltering'] {
  const text = attribute(bridge, 'bridge/vlan_filtering')
  return text === undefined ? 'absent' : text === '0' ? 'off' : 'on'
}

export function interfaceCarrier(name: string): boolean {
  return attribute(name, 'carrier') === '1'
}

/** Undefined if it is not a TUN or TAP. The flags are those of if_tun.h. */
export function tunFlags(name: string): number | undefined {
  const text = attribute(name, 'tun_flags')
  return text === undefined ? undefined : Number(text)
}

export function isUp(name: string): boolean {
  return (Number(attribute(name, 'flags') ?? 0) & iffUp) !== 0
}

/** Text that `ip link set NAME alias` sets. */
export function interfaceAlias(name: string): string | undefined {
  return attribute(name, 'ifalias')
}

/** The bridge that the interface is a port of. */
export function bridgeMaster(name: string): string | undefined {
  if (!existsSync(`/sys/class/net/${name}/brport`)) return undefined
  try {
    return basename(readlinkSync(`/sys/class/net/${name}/master`))
  } catch {
    return undefined
  }
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
    vlanFiltering: vlanFiltering(name),
    carrier: interfaceCarrier(name),
    up: isUp(name),
    address: firstAddress(libc, name),
  }
}

export function ifreq(name: string): Buffer {
  const request = pinned(ifreqBytes)
  // The sixteenth byte stays NUL.
  request.write(name, 0, 15, 'latin1')
  return request
}

/** Runs one ioctl on an interface; netdevice(7). */
export function onInterface<T>(libc: Libc, work: (fd: number) => T): T {
  const fd = libc.socket(afInet, sockDgram, 0)
  try {
    return work(fd)
  } finally {
    closeSync(fd)
  }
}

export function firstAddress(libc: Libc, name: string): string | null {
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

import { closeSync, constants, openSync, readdirSync, readFileSync, unlinkSync } from 'node:fs'
import { macBytes } from '../../api/packets.ts'
import { directAlias, identityInAlias } from '../../api/nic-attachment.ts'
import { directLinkName, isUid } from '../../api/names.ts'
import type { DirectFact } from '../../api/wire/broker-admin.ts'
import { type DirectLink, type DirectOrder, HostError } from '../../ports/host-network.ts'
import {
  bridgeMaster,
  firstAddress,
  interfaceAlias,
  interfaceCarrier,
  interfaceExists,
  interfaceIndex,
  interfaceMac,
  interfaceMtu,
  isUp,
} from './interfaces.ts'
import { type Libc, SystemError } from './libc.ts'
import { addressGenerationOff } from './link-addresses.ts'
import { type Attribute, createOnly, delLink, newLink, requestLink, setLink, text, u32 } from './rtnetlink.ts'
import { attachToken, setTapMode } from './tap.ts'

// linux/if_link.h
const iflaAddress = 1
const iflaIfname = 3
const iflaMtu = 4
const iflaLink = 5
const iflaLinkinfo = 18
const iflaIfalias = 20
const iflaInfoKind = 1
const iflaInfoData = 2
const iflaMacvlanMode = 1
const modes = { private: 1, vepa: 2, bridge: 4 } as const

const iffUp = 1
const characterDevice = 0o020000

/**
 * A macvtap on a device of the host, and a TAP that belongs to no network. The macvtap outlives its descriptors, and several processes can open
 * it. The TAP exists exactly as long as a process holds its descriptor, so it stands for the holder. Throws HostError.
 */
export function makeDirect(libc: Libc, order: DirectOrder): { readonly fd: number; readonly tokenFd: number } {
  const tokenFd = attachToken(libc, order.tap)
  try {
    removeLeftover(libc, order)
    return { fd: makeMacvtap(libc, order), tokenFd }
  } catch (error) {
    closeSync(tokenFd)
    throw error
  }
}

function makeMacvtap(libc: Libc, order: DirectOrder): number {
  createLink(libc, order)
  try {
    const index = interfaceIndex(order.link) ?? 0
    requestLink(libc, { type: setLink, family: 0, index, attributes: [[iflaIfalias, text(directAlias(order))]] })
    addressGenerationOff(libc, index)
    bringUp(libc, index, order)
    return openLink(libc, order.link)
  } catch (error) {
    removeLink(libc, order.link)
    if (error instanceof HostError) throw error
    throw new HostError('Io', `cannot set up the macvtap ${order.link} on ${order.device}: ${(error as Error).message}`, { cause: error })
  }
}

export function linkAttributes(order: DirectOrder, deviceIndex: number): Attribute[] {
  return [
    [iflaIfname, text(order.link)],
    [iflaLink, u32(deviceIndex)],
    [iflaAddress, Buffer.from(macBytes(order.mac))],
    [iflaMtu, u32(order.mtu)],
    [
      iflaLinkinfo,
      [
        [iflaInfoKind, Buffer.from('macvtap')],
        [iflaInfoData, [[iflaMacvlanMode, u32(modes[order.mode])]]],
      ],
    ],
  ]
}

function createLink(libc: Libc, order: DirectOrder): void {
  const device = interfaceIndex(order.device)
  if (device === undefined) throw new HostError('DeviceMissing', `there is no interface ${order.device} on this node`)
  try {
    requestLink(libc, { type: newLink, flags: createOnly, family: 0, index: 0, attributes: linkAttributes(order, device) })
  } catch (error) {
    throw explained(error, order)
  }
}

function explained(error: unknown, { device, link }: DirectOrder): HostError {
  const code = error instanceof SystemError ? error.code : ''
  const lists = '`ip -d link show` on the node lists it'
  const why = {
    EBUSY: whyBusy(device) ?? `another interface uses ${device} exclusively, such as a bond; ${lists}`,
    // The MTU was checked before.
    EINVAL: `a passthru macvtap or macvlan takes all of ${device}; ${lists}, and \`ip link del NAME\` removes it`,
    EOPNOTSUPP: 'the kernel has no macvtap; load it on the node with: modprobe macvtap',
    EEXIST: `the interface ${link} exists and is not swarmvirt's; rename or delete it`,
  }[code]
  const kind = code === 'EBUSY' || code === 'EINVAL' ? 'DeviceBusy' : 'Io'
  return new HostError(kind, `cannot create a macvtap on ${device}: ${why ?? (error as Error).message}`, { cause: error })
}

/** A bridge takes all frames of its ports. */
function whyBusy(device: string): string | undefined {
  const bridge = bridgeMaster(device)
  return (
    bridge &&
    `${device} is a port of ${bridge}; use bridge: ${bridge} in the manifest, or free the device with: ip link set ${device} nomaster`
  )
}

function bringUp(libc: Libc, index: number, { device, mac }: DirectOrder): void {
  try {
    requestLink(libc, { type: setLink, family: 0, index, interfaceFlags: { flags: iffUp, change: iffUp }, attributes: [] })
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== 'EADDRINUSE') throw error
    const message = `another interface on ${device} has the MAC ${mac}; \`ip -d link show type macvtap\` and \`ip -d link show type macvlan\` on the node list them`
    throw new HostError('DeviceBusy', message, { cause: error })
  }
}

/** The device node exists in the container's own /dev, and only until it is open. */
function openLink(libc: Libc, link: string): number {
  const [major, minor] = deviceNumber(link)
  const path = `/dev/${link}`
  removeNode(path)
  makeNode(libc, path, BigInt(major) * 256n + BigInt(minor))
  try {
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
    try {
      setTapMode(libc, fd, link)
      return fd
    } catch (error) {
      closeSync(fd)
      throw error
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EPERM') throw cause
    const message = `the broker may not open macvtap devices, which have the major number ${major} since the last boot; run install-node.sh again on this node`
    throw new HostError('DeviceMissing', message, { cause })
  } finally {
    removeNode(path)
  }
}

function makeNode(libc: Libc, path: string, device: bigint): void {
  try {
    libc.mknod(path, characterDevice | 0o600, device)
  } catch (cause) {
    const message = `the broker cannot make the device node ${path} (${(cause as Error).message}); run install-node.sh with --enable-direct on this node`
    throw new HostError('DeviceMissing', message, { cause })
  }
}

function removeNode(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/** Major and minor number. The kernel registers them when the link is created. */
function deviceNumber(link: string): [major: number, minor: number] {
  const [name = ''] = readdirSync(`/sys/class/net/${link}/macvtap`)
  const [major, minor] = readFileSync(`/sys/class/net/${link}/macvtap/${name}/dev`, 'utf8').trim().split(':').map(Number)
  if (major === undefined || minor === undefined || minor > 255) throw new Error(`the device number of ${link} is not known`)
  return [major, minor]
}

/** A killed broker may have left the link of this NIC, even before it recorded the identity. */
function removeLeftover(libc: Libc, order: DirectOrder): void {
  const alias = interfaceExists(order.link) ? (interfaceAlias(order.link) ?? '') : undefined
  if (alias === undefined) return
  const isOurs = alias === directAlias(order) || (alias === '' && interfaceMac(order.link) === order.mac)
  if (isOurs) removeLink(libc, order.link)
}

function removeLink(libc: Libc, link: string): void {
  const index = interfaceIndex(link)
  if (index === undefined) return
  try {
    requestLink(libc, { type: delLink, family: 0, index, attributes: [] })
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== 'ENODEV') throw error
  }
}

/** The links whose recorded identity is that of a NIC of swarmvirt and gives their name. */
export function directLinks(): DirectLink[] {
  return readdirSync('/sys/class/net').flatMap((link) => {
    const identity = identityInAlias(interfaceAlias(link) ?? '')
    if (identity === undefined || !isUid(identity.uid) || directLinkName(identity.uid, identity.network) !== link) return []
    return [{ link, uid: identity.uid, network: identity.network }]
  })
}

export function removeDirect(libc: Libc, { link }: DirectLink): void {
  if (directLinks().some((one) => one.link === link)) removeLink(libc, link)
}

export function directFact(libc: Libc, name: string): DirectFact | undefined {
  const mtu = interfaceMtu(name)
  if (mtu === undefined) return undefined
  return {
    name,
    mtu,
    carrier: interfaceCarrier(name),
    up: isUp(name),
    address: firstAddress(libc, name),
    problem: whyBusy(name) ?? '',
  }
}

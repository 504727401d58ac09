import type { DirectMode } from '../api/direct-modes.ts'
import type { BridgeFact, DeviceFact, DirectFact, ProbeOutcome } from '../api/wire/broker-admin.ts'
import type { Mac } from '../api/mac.ts'
import type { VmUid } from '../api/names.ts'

/**
 * The host as the broker uses it. Synchronous methods only call the kernel and wait for no storage or peer.
 * The caller owns a returned descriptor.
 */

export type HostErrorKind =
  | 'BridgeMissing'
  /** Another interface or program uses the device in a way that excludes a macvtap. */
  | 'DeviceBusy'
  /** A device cannot be opened. */
  | 'DeviceMissing'
  /** Another process has attached the TAP. */
  | 'TapBusy'
  | 'Io'

export class HostError extends Error {
  override readonly name = 'HostError'
  readonly kind: HostErrorKind

  constructor(kind: HostErrorKind, message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
  }
}

export interface TapOrder {
  readonly name: string
  readonly bridge: string
  /** The MAC of the host's side; must differ from the guest's. */
  readonly mac: string
  /** Bytes. */
  readonly mtu: number
  /** The VLAN of its frames on the bridge. */
  readonly vlan?: number | undefined
  readonly isolated?: boolean
}

/** The macvtap of a NIC, as recorded in the kernel. */
export interface DirectLink {
  readonly link: string
  readonly uid: VmUid
  /** The name of the network in the manifest. */
  readonly network: string
}

export interface DirectOrder extends DirectLink {
  /** The TAP that stands for the holder of the NIC. */
  readonly tap: string
  readonly device: string
  readonly mode: DirectMode
  /** The guest's. */
  readonly mac: Mac
  /** Bytes. */
  readonly mtu: number
}

export interface HostNetwork {
  /** Undefined if there is no bridge with this name. */
  bridge(name: string): BridgeFact | undefined
  /** False also if the interface does not exist. */
  carrier(name: string): boolean
  exists(name: string): boolean
  /** The MAC of the host's side of an interface; undefined if the interface does not exist. */
  mac(name: string): string | undefined
  /** Undefined if the interface does not exist. */
  mtu(name: string): number | undefined
  /** Names of all interfaces on this bridge. */
  ports(bridge: string): readonly string[]
  /**
   * Creates a TAP that lives as long as its descriptor, brings it up and adds it to the bridge. Returns the descriptor. Throws HostError.
   */
  makeTap(order: TapOrder): number
  /** Removes an interface that outlived its descriptor. Never removes one that is attached or is not a TAP. */
  clearTap(name: string): 'absent' | 'removed' | 'attached'
  /** Undefined if there is no interface with this name. */
  device(name: string): DirectFact | undefined
  /** Creates a macvtap and the TAP that stands for its holder, and returns a descriptor of each. The macvtap outlives both. Throws HostError. */
  makeDirect(order: DirectOrder): { readonly fd: number; readonly tokenFd: number }
  /** The macvtaps of this program, by their recorded identity. */
  directLinks(): readonly DirectLink[]
  removeDirect(link: DirectLink): void
  /** The name of the TAP behind a descriptor; undefined if it is not a TAP of this network namespace. */
  tapOf(fd: number): string | undefined
}

export type DeviceName = 'kvm' | 'tun' | 'vhostNet'

export interface Devices {
  fact(device: DeviceName): DeviceFact
  /** Throws HostError `DeviceMissing`. */
  open(device: DeviceName): number
}

export interface DiskLocks {
  /** The first disk of this VM that a QEMU has open, or may have open, with the reason; undefined if all are free. */
  locked(uid: VmUid): Promise<string | undefined>
}

export interface PacketListener {
  /**
   * ARP and DHCP frames of one interface, without VLAN tag. `sent` are frames that the host sends there (on a TAP: to the guest). Listening
   * ends with `onEnd` when the interface is removed. Throws HostError `Io` if it cannot begin.
   */
  listen(interfaceName: string, onFrame: (frame: Uint8Array, direction: 'received' | 'sent') => void, onEnd: () => void): { close(): void }
}

/** A bridge, or a device for direct NICs. */
export type LanFact = Pick<BridgeFact, 'name' | 'up' | 'address'>

/** Never reject. The outcome is `unknown` if no probe was possible. */
export interface LanProbes {
  /** With `mac`, waits for the answer of this machine. The outcome has another MAC only if this one did not answer. */
  arp(bridge: LanFact, ip: string, mac: Mac | undefined, timeoutMs: number): Promise<ProbeOutcome>
  ping(bridge: LanFact, ip: string, timeoutMs: number): Promise<ProbeOutcome>
}

/** Directories of sockets below the state root. Reject with PortError. */
export interface SocketDirectories {
  /** UIDs that have a directory. */
  list(): Promise<readonly VmUid[]>
  /** Creates the directory with mode 2750 and the group of its parent, if it does not exist. */
  make(uid: VmUid): Promise<void>
  /** Removes the directory and its socket, if they exist. */
  remove(uid: VmUid): Promise<void>
}

import type { BridgeFact, DeviceFact, ProbeOutcome } from '../api/wire/broker-admin.ts'
import type { VmUid } from '../api/names.ts'

/**
 * The host as the broker uses it. Synchronous methods only call the kernel and wait for no storage or peer.
 * The caller owns a returned descriptor.
 */

export type HostErrorKind =
  | 'BridgeMissing'
  /** A device does not open. */
  | 'DeviceMissing'
  /** Somebody else has the TAP. */
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
}

export interface HostNetwork {
  /** Undefined where there is no bridge of this name. */
  bridge(name: string): BridgeFact | undefined
  /** False also where there is no such interface. */
  carrier(name: string): boolean
  exists(name: string): boolean
  /** Of the host's side of an interface; undefined where there is no such interface. */
  mac(name: string): string | undefined
  /** Names of all interfaces that are ports of this bridge. */
  ports(bridge: string): readonly string[]
  /** Makes a TAP that lives as long as its descriptor, up and on the bridge, and returns the descriptor. Throws HostError. */
  makeTap(order: TapOrder): number
  /** Removes an interface that outlived its descriptor; never one that somebody has attached, or that is no TAP. */
  clearTap(name: string): 'absent' | 'removed' | 'attached'
  /** The name of the TAP behind a descriptor, where it is a TAP of this network namespace. */
  tapOf(fd: number): string | undefined
}

export type DeviceName = 'kvm' | 'tun' | 'vhostNet'

export interface Devices {
  fact(device: DeviceName): DeviceFact
  /** Throws HostError `DeviceMissing`. */
  open(device: DeviceName): number
}

export interface DiskLocks {
  /** The first disk of this VM that a QEMU has open (or of which that cannot be told), with the reason in words; undefined where all are free. */
  locked(uid: VmUid): Promise<string | undefined>
}

export interface PacketListener {
  /**
   * ARP and DHCP frames of one interface, without VLAN tag. `sent` are frames that the host sends out there (on a TAP: to the guest).
   * Listening ends automatically, with `onEnd`, when the interface is removed. Throws HostError `Io` if it cannot begin.
   */
  listen(interfaceName: string, onFrame: (frame: Uint8Array, direction: 'received' | 'sent') => void, onEnd: () => void): { close(): void }
}

/** Never reject; what could not be tried is `unknown`. */
export interface LanProbes {
  /** With `mac`, that one's answer is waited for; the outcome has another's only where it did not come. */
  arp(bridge: BridgeFact, ip: string, mac: string | undefined, timeoutMs: number): Promise<ProbeOutcome>
  ping(bridge: BridgeFact, ip: string, timeoutMs: number): Promise<ProbeOutcome>
}

/** Directories of sockets below the state root. Rejects with PortError. */
export interface SocketDirectories {
  /** Uids that have one. */
  list(): Promise<readonly VmUid[]>
  /** Makes it, 2750 with the group of its parent; done where it is there. */
  make(uid: VmUid): Promise<void>
  /** With the socket inside; done where it is missing. */
  remove(uid: VmUid): Promise<void>
}

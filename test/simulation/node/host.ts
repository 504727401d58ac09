import type { Layout } from '../../../src/api/layout.ts'
import { isUid } from '../../../src/api/names.ts'
import type { BridgeFact, DeviceFact } from '../../../src/api/wire/broker-admin.ts'
import {
  type Devices,
  type DiskLocks,
  type PacketListener,
  HostError,
  type HostNetwork,
  type SocketDirectories,
  type TapOrder,
} from '../../../src/ports/host-network.ts'
import type { GuestFilter, TapLock, UserNetworkFilter } from '../../../src/ports/guest-filter.ts'
import type { SeededRandom } from '../seeded-random.ts'
import type { Descriptors, OpenFile } from './descriptors.ts'
import type { MemoryDisk } from './memory-disk.ts'
import { Process } from './process.ts'

interface Listener {
  readonly onFrame: (frame: Uint8Array, direction: 'received' | 'sent') => void
  readonly onEnd: () => void
}

const works: DeviceFact = { present: true, opens: true, message: '' }

/** The kernel of one node as a broker sees it: bridges, TAPs, their rules, and who hears what passes there. TAPs live as long as their descriptors. */
export class Host {
  bridges: readonly BridgeFact[]
  /** True makes every TAP seem free and every disk unlocked; only to see that it would be noticed. */
  isBlind = false
  readonly #taps = new Map<string, { readonly file: OpenFile; readonly bridge: string; readonly mac: string }>()
  #isUserNetworkFiltered = false
  readonly #locks = new Map<string, TapLock>()
  readonly #listeners = new Map<string, Set<Listener>>()
  readonly #descriptors: Descriptors

  constructor(descriptors: Descriptors, address: string) {
    this.#descriptors = descriptors
    this.bridges = [{ name: 'br0', mtu: 1500, carrier: true, up: true, address }]
  }

  network(process: Process): HostNetwork {
    return {
      bridge: (name) => this.bridges.find((one) => one.name === name),
      carrier: (name) => this.#taps.has(name),
      exists: (name) => this.#taps.has(name),
      mac: (name) => this.#taps.get(name)?.mac,
      mtu: (name) => this.bridges.find((one) => one.name === this.#taps.get(name)?.bridge)?.mtu,
      ports: (bridge) => [...this.#taps].filter(([, tap]) => tap.bridge === bridge).map(([name]) => name),
      makeTap: (order) => this.#makeTap(process, order),
      // Here none outlives its descriptor.
      clearTap: (name) => (this.#taps.has(name) && !this.isBlind ? 'attached' : 'absent'),
      device: () => undefined,
      makeDirect: ({ device }) => {
        throw new HostError('DeviceMissing', `there is no interface ${device}`)
      },
      directLinks: () => [],
      removeDirect: () => undefined,
      tapOf: (fd) => {
        const file = this.#descriptors.fileOf(fd)
        return file?.kind === 'tap' && this.#taps.get(file.name)?.file === file ? file.name : undefined
      },
    }
  }

  devices(process: Process): Devices {
    return {
      fact: () => works,
      open: () => this.#descriptors.install(process, { kind: 'kvm', name: '', onLastClose: () => undefined }),
    }
  }

  /** nftables: rules outlive the process that created them, and the TAP. */
  filter(process: Process): GuestFilter {
    const alive = <T>(run: () => T): Promise<T> => (process.alive ? Promise.resolve(run()) : Process.never())
    return {
      locks: () => alive(() => [...this.#locks.values()].map((lock) => ({ ...lock, complete: true }))),
      lock: (locks) => alive(() => locks.forEach((lock) => void this.#locks.set(lock.tap, lock))),
      removeUnless: (isKept) => alive(() => [...this.#locks.keys()].forEach((tap) => isKept(tap) || this.#locks.delete(tap))),
    }
  }

  /** Its rules outlive the process too. */
  userNetworkFilter(process: Process): UserNetworkFilter {
    const alive = <T>(run: () => T): Promise<T> => (process.alive ? Promise.resolve(run()) : Process.never())
    return {
      interface: 'sv-user',
      isComplete: () => alive(() => this.#isUserNetworkFiltered),
      apply: () => alive(() => void (this.#isUserNetworkFiltered = true)),
    }
  }

  packetListener(process: Process): PacketListener {
    return {
      listen: (name, onFrame, onEnd) => {
        const listener: Listener = { onFrame: (frame, direction) => void (process.alive && onFrame(frame, direction)), onEnd }
        const all = this.#listeners.get(name) ?? new Set()
        this.#listeners.set(name, all.add(listener))
        const close = (): void => void all.delete(listener)
        process.onEnd(close)
        return { close }
      },
    }
  }

  tapNames(): string[] {
    return [...this.#taps.keys()]
  }

  /** The MAC that a TAP's rules let pass. */
  lockOf(tap: string): string | undefined {
    return this.#locks.get(tap)?.mac
  }

  hear(interfaceName: string, frame: Uint8Array): void {
    for (const listener of this.#listeners.get(interfaceName) ?? []) listener.onFrame(frame, 'received')
  }

  #makeTap(process: Process, { name, bridge, mac }: TapOrder): number {
    if (this.#taps.has(name) && !this.isBlind) throw new HostError('TapBusy', `TUNSETIFF ${name}: Device or resource busy`)
    if (!this.bridges.some((one) => one.name === bridge)) throw new HostError('BridgeMissing', `there is no bridge ${bridge}`)
    const file: OpenFile = { kind: 'tap', name, onLastClose: () => this.#takeDown(name) }
    this.#taps.set(name, { file, bridge, mac })
    return this.#descriptors.install(process, file)
  }

  #takeDown(name: string): void {
    this.#taps.delete(name)
    const listeners = [...(this.#listeners.get(name) ?? [])]
    this.#listeners.delete(name)
    for (const listener of listeners) queueMicrotask(listener.onEnd)
  }
}

/** Looking at locks reads files, which takes a moment in which a QEMU may start. */
export function memoryLocks(disk: MemoryDisk, host: Host, layout: Layout, process: Process, random: SeededRandom): DiskLocks {
  return {
    locked: (uid) =>
      new Promise((resolve) => {
        process.clock.after(random.int(1, 8), () => {
          const names = (disk.list(layout.disks(uid)) ?? []).filter((name) => name.endsWith('.qcow2'))
          const locked = names.find((name) => disk.at(`${layout.disks(uid)}/${name}`)?.lockedBy?.alive === true)
          resolve(locked === undefined || host.isBlind ? undefined : `disk ${locked}: a QEMU has it open`)
        })
      }),
  }
}

export function memorySocketDirectories(disk: MemoryDisk, layout: Layout): SocketDirectories {
  return {
    list: async () => (disk.list(layout.sockets) ?? []).filter(isUid),
    make: async (uid) => disk.makeDirectory(layout.socketDirectory(uid)),
    async remove(uid) {
      disk.remove(layout.brokerSocket(uid))
      disk.remove(layout.socketDirectory(uid))
    },
  }
}

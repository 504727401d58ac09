import { dirname } from 'node:path'
import type { BrokerLink } from '../../../src/agent/broker-link.ts'
import { deleteDisks } from '../../../src/agent/delete-disks.ts'
import { diskUse } from '../../../src/agent/disk-use.ts'
import { type Grants, grants } from '../../../src/agent/grants.ts'
import { keepLivePart } from '../../../src/agent/live-part.ts'
import { keepNicSlots } from '../../../src/agent/keep-nic-slots.ts'
import { grownDisks } from '../../../src/agent/grown-disks.ts'
import { learnedAddresses } from '../../../src/agent/learned-addresses.ts'
import { type ImageStore, imageStore } from '../../../src/agent/image-store.ts'
import type { KvmProber } from '../../../src/agent/kvm-prober.ts'
import { type Orders, orders } from '../../../src/agent/orders.ts'
import { preparer } from '../../../src/agent/preparer.ts'
import { sweepTemporaries } from '../../../src/agent/sweep-temporaries.ts'
import { sha256Hex } from '../../../src/api/hash.ts'
import { layout } from '../../../src/api/layout.ts'
import type { LeaseFact } from '../../../src/api/wire/broker-admin.ts'
import type { Grant } from '../../../src/api/wire/common.ts'
import type { DiskClaims } from '../../../src/ports/disk-claims.ts'
import { PortError } from '../../../src/ports/errors.ts'
import type { ImageArrivals } from '../../../src/ports/image-arrivals.ts'
import type { ImageTool } from '../../../src/ports/image-tool.ts'
import type { Random } from '../../../src/ports/random.ts'
import { silentLog, virtualClock } from '../../unit/controller/virtual-clock.ts'
import { aLife, type Life } from './life.ts'
import { SimulatedDisk } from './simulated-disk.ts'
import { mustBeOwn, simulatedFiles } from './simulated-files.ts'
import type { VmUid } from '../../../src/api/names.ts'

export const paths = layout('/s')
const mebibyte = 1024 ** 2

export interface Agent {
  readonly life: Life
  readonly orders: Orders
  readonly grants: Grants
  readonly images: ImageStore
  readonly learned: ReturnType<typeof learnedAddresses>
  /** Ends what it does in the background. */
  stop(): void
}

/** One node: what agents of it share, one after the other. Its agents are the real programs on simulated ports. */
export class SimulatedNode {
  readonly disk = new SimulatedDisk(paths.root)
  readonly clock = virtualClock()
  /** The broker's grants, which outlive agents. */
  readonly granted = new Map<string, Grant>()
  /** Disks that a QEMU has open. */
  readonly open = new Set<string>()
  #uuids = 0

  constructor() {
    for (const directory of [paths.images, paths.store, paths.grants, paths.instances]) this.disk.putDirectory(directory, 0o2750)
    this.disk.put(paths.layoutFile, '{"version":1}')
  }

  copy(): SimulatedNode {
    const copy = new SimulatedNode()
    this.disk.copyTo(copy.disk)
    for (const [uid, grant] of this.granted) copy.granted.set(uid, grant)
    copy.#uuids = this.#uuids
    for (const path of this.open) copy.open.add(path)
    return copy
  }

  /** Starts an agent, as Swarm does when one has ended. */
  async boot(life: Life = aLife()): Promise<Agent> {
    const files = simulatedFiles(this.disk, life, this.clock)
    const stop = new AbortController()
    const shared = { layout: paths, files, clock: this.clock, random: this.#random, log: silentLog, signal: stop.signal }
    const broker = brokerOf(this.granted, life)
    await sweepTemporaries(shared)
    const held = grants({ ...shared, broker })
    await atRest(life, held.renew(stop.signal))
    const images = imageStore({ ...shared, arrivals: arrivalsOn(this.disk, life), tool: qemuImgOn(this.disk, life) })
    const runners = { status: () => Promise.reject(new PortError('NotFound', 'no runner')) }
    const disks = {
      ...shared,
      images,
      tool: qemuImgOn(this.disk, life),
      claims: claimsOf(this.open),
      useOf: (uid: VmUid) => diskUse(broker, runners, uid, stop.signal),
    }
    const prober = { kvm: () => ({ state: 'unusable', reason: '', message: '' }), tcg: () => ({ works: true, message: '' }) } as KvmProber
    const prepareDisks = preparer(disks)
    return {
      life,
      images,
      grants: held,
      orders: orders({
        prepareDisks,
        deleteDisks: (order) => deleteDisks(disks, order),
        grownDisks: (uid) => grownDisks(shared, uid),
        keepLivePart: (order) => keepLivePart({ ...shared, isos: images }, order),
        liveEdits: { apply: async () => '' },
        firmware: { prepare: async () => undefined, preparePending: async () => undefined },
        keepNicSlots: (order) => keepNicSlots(shared, order),
        keepRunPolicy: () => Promise.resolve({}),
        grants: held,
        broker,
        prober,
      }),
      learned: learnedAddresses(shared),
      stop: () => stop.abort(new Error('the run is over')),
    }
  }

  /** The broker forgets, and the disk what was not synced. */
  losePower(): void {
    this.disk.losePower()
    this.granted.clear()
  }

  /** A file that an operator copies into images/; its source and sha256. */
  anImage(name: string, payload: string): { readonly source: string; readonly sha256: string } {
    const content = imageOf(payload)
    this.disk.put(`${paths.images}/${name}`, content)
    return { source: `images/${name}`, sha256: sha256Hex(content) }
  }

  get #random(): Random {
    return {
      next: () => 0.5,
      uuid: () => {
        this.#uuids += 1
        return `00000000-0000-4000-8000-${String(this.#uuids).padStart(12, '0')}`
      },
    }
  }
}

/** Waits for work that retries forever, unless its agent was killed meanwhile. */
async function atRest(life: Life, work: Promise<void>): Promise<void> {
  const waiting = { isOver: false }
  void work.finally(() => (waiting.isOver = true))
  for (let turn = 0; !waiting.isOver && !life.isOver; turn += 1) {
    if (turn > 10_000) throw new Error('an agent that lives does not come to rest')
    await Promise.resolve()
  }
}

/** A qcow2 of version 2 that stands alone, and what is in it. */
function imageOf(payload: string): string {
  const header = Buffer.alloc(512)
  header.writeUInt32BE(0x51_46_49_fb, 0)
  header.writeUInt32BE(2, 4)
  header.writeBigUInt64BE(BigInt(mebibyte), 24)
  return `${header.toString('latin1')}${payload}`
}

/** A file that qemu-img creates; a guest writes behind it. */
export function overlayOf(backing: string, sizeBytes: number): string {
  return `overlay of ${backing}, ${sizeBytes} bytes;`
}

export function blankOf(sizeBytes: number): string {
  return `blank, ${sizeBytes} bytes;`
}

function qemuImgOn(disk: SimulatedDisk, life: Life): ImageTool {
  return {
    async info(path) {
      life.mustLive()
      if (disk.content(path) === undefined) throw new PortError('Invalid', `Could not open '${path}'`)
      return { virtualSizeBytes: mebibyte, backingFile: undefined, dataFile: undefined, encrypted: false }
    },
    check: async () => life.mustLive(),
    async createDisk(path, backing, sizeBytes) {
      mustBeOwn(disk, path)
      if (backing === undefined) return write(disk, life, path, blankOf(sizeBytes))
      const standsOn = `${dirname(dirname(path))}/${backing.path.replace('../', '')}`
      if (disk.content(standsOn) === undefined) throw new PortError('Invalid', `Could not open backing file ${standsOn}`)
      write(disk, life, path, overlayOf(backing.path, sizeBytes))
    },
  }
}

function arrivalsOn(disk: SimulatedDisk, life: Life): ImageArrivals {
  return {
    async copy(from, to) {
      life.mustLive()
      mustBeOwn(disk, to)
      const content = disk.content(from) ?? ''
      write(disk, life, to, content)
      return {
        sha256: sha256Hex(content),
        bytes: content.length,
        start: Buffer.from(content.slice(0, 16), 'latin1'),
        contentType: undefined,
      }
    },
    download: () => Promise.reject(new Error('not requested')),
  }
}

/** As a program does that the agent runs: the file, half of it, all of it, and nothing synced. */
function write(disk: SimulatedDisk, life: Life, path: string, content: string): void {
  const inode = { kind: 'file' as const, content: '', mode: 0o600, modifiedMs: 0, synced: false }
  life.step()
  disk.set(path, inode)
  life.step()
  inode.content = content.slice(0, content.length / 2)
  life.step()
  inode.content = content
}

function claimsOf(open: ReadonlySet<string>): DiskClaims {
  return { claim: async (path) => (open.has(path) ? { kind: 'inUse' } : { kind: 'claimed', release: async () => undefined }) }
}

/** An order may arrive and its answer be lost. */
function brokerOf(granted: Map<string, Grant>, life: Life): BrokerLink {
  const ask = async (question: { type: string; uid?: VmUid; grant?: Grant }): Promise<object> => {
    if (question.type === 'leases') {
      life.mustLive()
      const leases = [...granted.keys()].map((uid) => ({ uid, granted: true, held: false, waiting: 0, nics: [] }) as unknown as LeaseFact)
      return { type: 'leases', leases, next: null }
    }
    life.step()
    if (question.grant !== undefined) granted.set(question.grant.uid, question.grant)
    if (question.type === 'revoke') granted.delete(question.uid ?? '')
    life.mustLive()
    return { type: 'ok' }
  }
  return { hello: () => ({ bootId: 'b' }), absence: () => '', ask } as unknown as BrokerLink
}

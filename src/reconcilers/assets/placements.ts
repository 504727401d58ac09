import { storedDisks, type VirtualMachine } from '../../api/manifest.ts'
import type { OverheadSettings } from '../../api/memory-overhead.ts'
import { placementRecordName, type VmName, type VmUid } from '../../api/names.ts'
import type { AssumedPlacement } from '../shared/assumed-placements.ts'
import { memoryNeedBytes } from '../shared/machine-shape.ts'
import type { PlacementRecord } from '../shared/placement-record.ts'

/** The resources of a node that the VMs placed on it use, running or not. */
export interface Load {
  readonly vms: number
  /** Guest memory and overhead, as far as known. */
  readonly bytes: number
  /** Size of the disks that no node has reported yet. */
  readonly unmadeDiskBytes: number
}

/** The resources of its node that a VM uses. */
export interface Need {
  readonly bytes: number
  readonly diskBytes: number
}

/**
 * The larger of the manifest's memory and the service's reservation: a smaller size frees no memory until it is applied, and a larger one
 * needs the memory once it is applied.
 */
export function committedNeed(declared: Need | undefined, reservedBytes: number): Need {
  return { bytes: Math.max(declared?.bytes ?? 0, reservedBytes), diskBytes: declared?.diskBytes ?? 0 }
}

export function needOfVm(vm: VirtualMachine, settings: OverheadSettings): Need {
  return { bytes: memoryNeedBytes(vm, settings), diskBytes: storedDisks(vm.spec).reduce((sum, { size }) => sum + size, 0) }
}

/** The placements of all other VMs, used to place one. */
export interface Placements {
  /** By Swarm node ID, without this VM; retained VMs do not count. */
  loadsBeside(vm: VmName): ReadonlyMap<string, Load>
  /** True if another VM's record has this uid; retained ones count. */
  isClaimed(uid: VmUid, beside: VmName): boolean
}

/** Updated record by record, so that placing one VM does not read thousands. */
export interface PlacementIndex extends Placements {
  /** Sets the record of the config with this name; undefined if the config is gone or not a record. */
  put(name: string, record: PlacementFacts | undefined): void
  /** Call when a VM's need of memory or disk may have changed. */
  remeasure(vm: VmName): void
}

export type PlacementFacts = Pick<PlacementRecord, 'vm' | 'uid' | 'node' | 'retainedAt' | 'disksMade'>
type Placed = Pick<PlacementRecord, 'vm' | 'uid'> & { readonly node: string | undefined; readonly disksMade: boolean } & Need

export const noLoad: Load = { vms: 0, bytes: 0, unmadeDiskBytes: 0 }

/** `needOf` returns a VM's need, as far as known. */
export function placementIndex(needOf: (vm: VmName) => Need): PlacementIndex {
  const placed = new Map<string, Placed>()
  const loads = new Map<string, Load>()
  const claims = new Map<VmUid, number>()

  function count(one: Placed, by: 1 | -1): void {
    const { uid, node } = one
    const claimed = (claims.get(uid) ?? 0) + by
    if (claimed === 0) claims.delete(uid)
    else claims.set(uid, claimed)
    if (node === undefined) return
    const load = plus(loads.get(node) ?? noLoad, by, one)
    if (load.vms === 0) loads.delete(node)
    else loads.set(node, load)
  }

  function replace(name: string, after: Placed | undefined): void {
    const before = placed.get(name)
    if (before !== undefined) count(before, -1)
    if (after === undefined) placed.delete(name)
    else placed.set(name, after)
    if (after !== undefined) count(after, 1)
  }

  const own = (vm: VmName): Placed | undefined => {
    const one = placed.get(placementRecordName(vm))
    return one?.vm === vm ? one : undefined
  }

  return {
    put(name, record) {
      if (record === undefined) return replace(name, undefined)
      const { vm, uid, retainedAt, disksMade } = record
      replace(name, { vm, uid, node: retainedAt === undefined ? record.node : undefined, disksMade, ...needOf(vm) })
    },
    remeasure(vm) {
      const one = own(vm)
      if (one !== undefined) replace(placementRecordName(vm), { ...one, ...needOf(vm) })
    },
    loadsBeside(vm) {
      const one = own(vm)
      if (one?.node === undefined) return new Map(loads)
      return new Map(loads).set(one.node, plus(loads.get(one.node) ?? noLoad, -1, one))
    },
    isClaimed: (uid, beside) => (claims.get(uid) ?? 0) > (own(beside)?.uid === uid ? 1 : 0),
  }
}

function plus(load: Load, by: 1 | -1, { bytes, diskBytes, disksMade }: Placed): Load {
  const unmade = disksMade ? 0 : diskBytes
  return { vms: load.vms + by, bytes: load.bytes + by * bytes, unmadeDiskBytes: load.unmadeDiskBytes + by * unmade }
}

/** Adds claims whose records were not read yet. */
export function withClaims(loads: ReadonlyMap<string, Load>, claims: readonly AssumedPlacement[]): ReadonlyMap<string, Load> {
  const all = new Map(loads)
  for (const { nodeId, takes } of claims) {
    const { vms, bytes, unmadeDiskBytes } = all.get(nodeId) ?? noLoad
    all.set(nodeId, { vms: vms + 1, bytes: bytes + takes.memoryBytes, unmadeDiskBytes: unmadeDiskBytes + takes.diskBytes })
  }
  return all
}

import type { OverheadSettings } from '../../api/memory-overhead.ts'
import type { VmName } from '../../api/names.ts'
import type { SwarmConfig, SwarmService } from '../../ports/swarm.ts'
import {
  committedNeed,
  type Need,
  needOfVm,
  type PlacementIndex,
  placementIndex,
  type Placements,
} from '../../reconcilers/assets/placements.ts'
import { readPlacementRecords } from '../../reconcilers/shared/placement-record.ts'
import { isVmService, reservedBytes, vmOf } from '../../reconcilers/shared/vm-service.ts'
import type { DeclarationStore } from '../declarations/store.ts'
import type { InformedSwarm } from './informed-swarm.ts'

export interface PlacementPorts {
  readonly informed: Pick<InformedSwarm, 'watch' | 'refresh'>
  readonly declarations: Pick<DeclarationStore, 'get' | 'onChange'>
  readonly settings: OverheadSettings
}

/** All placements, updated with every read, write and declaration. The returned function refreshes the cache first. */
export function livePlacements({ informed, declarations, settings }: PlacementPorts): (signal?: AbortSignal) => Promise<Placements> {
  const reserved = new Map<VmName, number>()
  const needOf = (vm: VmName): Need => {
    const declared = declarations.get(vm)
    const need = declared.kind === 'present' ? needOfVm(declared.vm, settings) : undefined
    return committedNeed(need, reserved.get(vm) ?? 0)
  }
  const index = placementIndex(needOf)
  informed.watch({
    config: (name, config) => index.put(name, recordIn(config)),
    service: (name, service) => reserve(index, reserved, name, service),
  })
  declarations.onChange((vms) => {
    for (const vm of vms) index.remeasure(vm)
  })
  return async (signal) => {
    await informed.refresh(signal)
    return index
  }
}

function recordIn(config: SwarmConfig | undefined) {
  return config === undefined ? undefined : readPlacementRecords([config])[0]
}

function reserve(index: PlacementIndex, reserved: Map<VmName, number>, name: string, service: SwarmService | undefined): void {
  const vm = vmOf({ name })
  if (vm === undefined) return
  const bytes = service !== undefined && isVmService(service) ? reservedBytes(service) : 0
  if ((reserved.get(vm) ?? 0) === bytes) return
  if (bytes === 0) reserved.delete(vm)
  else reserved.set(vm, bytes)
  index.remeasure(vm)
}

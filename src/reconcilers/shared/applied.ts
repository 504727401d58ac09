import { hashOf } from '../../api/hash.ts'
import { nodeLabels, objectLabels } from '../../api/labels.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import { memoised } from '../../api/memoised.ts'
import type { VmUid } from '../../api/names.ts'
import type { AcceleratorChoice, NicGrant } from '../../api/wire/common.ts'
import { type LaunchConfig, launchConfig } from '../../api/wire/launch.ts'
import type { SwarmConfig, SwarmService } from '../../ports/swarm.ts'
import { labelConstraints } from './constraints.ts'
import { nicsOf } from './nics.ts'
import { launchConfigName, uidsNamedBy } from './vm-service.ts'

/** The part of a VM that its node grants. */
export interface Machine {
  readonly accelerator: AcceleratorChoice
  readonly nics: readonly NicGrant[]
}

export function declaredMachine(cluster: string, vm: VirtualMachine): Machine {
  return { accelerator: vm.spec.accelerator, nics: nicsOf(cluster, vm) }
}

/** Equal machines have equal marks. */
export function machineMark({ accelerator, nics }: Machine): string {
  return hashOf([accelerator, nics])
}

/** The node's answer on the machine of a pending edit. */
export type MachineCheck = 'accepted' | 'refused' | 'unchecked'

/** As the placement record notes it (`swarmvirt.prepared`). */
export function noteOfCheck(machine: Machine, check: MachineCheck): string | undefined {
  if (check === 'unchecked') return undefined
  return check === 'accepted' ? machineMark(machine) : `refused ${machineMark(machine)}`
}

/** A note on another machine says nothing about this one. */
export function checkOf(machine: Machine, note: string | undefined): MachineCheck {
  return (['accepted', 'refused'] as const).find((check) => noteOfCheck(machine, check) === note) ?? 'unchecked'
}

/**
 * The machine that the written template starts, whatever the manifest says meanwhile: the runner refuses a grant that differs from its launch
 * config. Undefined where the service is of another VM, and where its launch config is not there or of a release that we do not know.
 */
export function appliedMachine(service: SwarmService | undefined, configs: readonly SwarmConfig[], uid: VmUid): Machine | undefined {
  if (service === undefined || !uidsNamedBy(service).includes(uid)) return undefined
  const launch = launchOf(service, configs)
  if (launch?.uid !== uid) return undefined
  const nics = launch.nics.flatMap(({ name, mac, bridge = formerBridge(service) }) =>
    bridge === undefined ? [] : [{ name, mac, bridge, mtu: null }],
  )
  return nics.length === launch.nics.length ? { accelerator: launch.accelerator, nics } : undefined
}

/** Undefined where it is not among these, or cannot be read. */
export function launchOf(service: Pick<SwarmService, 'spec'>, configs: readonly SwarmConfig[]): LaunchConfig | undefined {
  const name = launchConfigName(service)
  const config = configs.find((one) => one.name === name)
  return config && launchIn(config.data)
}

/** By the bytes, which never change: all services are looked at again and again. */
export const launchIn = memoised(
  (data: Uint8Array): LaunchConfig | undefined => launchConfig.safeParse(parseJson(new TextDecoder().decode(data))).data,
)

/** The bridge of all NICs of a service of release 0.1, whose launch config names none: as its constraint says, or the note made in its place. */
export function formerBridge(service: Pick<SwarmService, 'spec' | 'labels'>): string | undefined {
  const { bridgePrefix } = nodeLabels
  const named = labelConstraints(service).find(({ label }) => label.startsWith(bridgePrefix))
  return named === undefined ? service.labels[objectLabels.bridge] : named.label.slice(bridgePrefix.length)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

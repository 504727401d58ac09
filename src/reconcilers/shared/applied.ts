import { hashOf } from '../../api/hash.ts'
import { nodeLabels, objectLabels } from '../../api/labels.ts'
import { deterministicMac } from '../../api/mac.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import { grantKeys } from '../../api/nic-attachment.ts'
import { memoised } from '../../api/memoised.ts'
import type { VmUid } from '../../api/names.ts'
import type { AcceleratorChoice, NicGrant } from '../../api/wire/common.ts'
import { type LaunchConfig, launchConfig } from '../../api/wire/launch.ts'
import type { SwarmConfig, SwarmService } from '../../ports/swarm.ts'
import { labelConstraints } from './constraints.ts'
import { rawJson } from './raw.ts'
import { launchConfigName, uidsNamedBy } from './vm-service.ts'

/** The part of a VM that its node grants. */
export interface Machine {
  readonly accelerator: AcceleratorChoice
  readonly nics: readonly NicGrant[]
}

/** The NICs of a VM with their MACs settled. */
export function nicsOf(cluster: string, vm: VirtualMachine): NicGrant[] {
  return vm.spec.networks.map((network) => ({
    name: network.name,
    ...grantKeys({ ...network, vlan: network.vlan, isolated: network.isolated ?? false, antiSpoof: network.antiSpoof ?? 'mac' }),
    mac: network.mac === 'auto' ? deterministicMac(cluster, vm.metadata.name, network.name) : network.mac,
    mtu: network.mtu ?? null,
  }))
}

/** As the launch config has them. */
export function launchNicsOf(cluster: string, vm: VirtualMachine) {
  return nicsOf(cluster, vm).map(({ name, mac, bridge, port, mtu }) => ({
    name,
    mac,
    ...(port ?? { bridge }),
    ...(mtu === null ? {} : { mtu }),
  }))
}

export function declaredMachine(cluster: string, vm: VirtualMachine): Machine {
  return { accelerator: vm.spec.accelerator, nics: nicsOf(cluster, vm) }
}

/** Equal for equal machines. */
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

/** A note about a different machine does not count. */
export function checkOf(machine: Machine, note: string | undefined): MachineCheck {
  return (['accepted', 'refused'] as const).find((check) => noteOfCheck(machine, check) === note) ?? 'unchecked'
}

/**
 * The machine that the service's current template starts. The manifest may differ, but the runner rejects a grant that differs from its
 * launch config. Undefined if the service belongs to another VM, or if its launch config is missing or of an unknown version.
 */
export function appliedMachine(service: SwarmService | undefined, configs: readonly SwarmConfig[], uid: VmUid): Machine | undefined {
  if (service === undefined || !uidsNamedBy(service).includes(uid)) return undefined
  const launch = launchOf(service, configs)
  if (launch?.uid !== uid) return undefined
  const nics = launch.nics.flatMap(({ name, mac, bridge = formerBridge(service), mtu = null, vlan, isolated = false, antiSpoof }) =>
    bridge === undefined ? [] : [{ name, mac, mtu, ...grantKeys({ bridge, vlan, isolated, antiSpoof: antiSpoof ?? 'mac' }) }],
  )
  return nics.length === launch.nics.length ? { accelerator: launch.accelerator, nics } : undefined
}

/** Undefined if the config is not in the list or cannot be parsed. */
export function launchOf(service: Pick<SwarmService, 'spec'>, configs: readonly SwarmConfig[]): LaunchConfig | undefined {
  const name = launchConfigName(service)
  const config = configs.find((one) => one.name === name)
  return config && launchIn(config.data)
}

/** Cached by the bytes, which never change, because every reconcile of every VM parses them. */
export const launchIn = memoised((data: Uint8Array): LaunchConfig | undefined => launchConfig.safeParse(rawJson(data)).data)

/** The bridge of a service of release 0.1, whose launch config has no bridges: from its constraint, or from the label that replaced the constraint. */
export function formerBridge(service: Pick<SwarmService, 'spec' | 'labels'>): string | undefined {
  const { bridgePrefix } = nodeLabels
  const named = labelConstraints(service).find(({ label }) => label.startsWith(bridgePrefix))
  return named === undefined ? service.labels[objectLabels.bridge] : named.label.slice(bridgePrefix.length)
}

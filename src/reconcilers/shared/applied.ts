import { hashOf } from '../../api/hash.ts'
import { nodeLabels, objectLabels } from '../../api/labels.ts'
import { deterministicMac, type Mac } from '../../api/mac.ts'
import type { UserNetwork, VirtualMachine } from '../../api/manifest.ts'
import { sshPortName } from '../../api/manifest/spec/user-network.ts'
import { type Attachment, grantKeys } from '../../api/nic-attachment.ts'
import { memoised } from '../../api/memoised.ts'
import type { VmUid } from '../../api/names.ts'
import type { AcceleratorChoice, Firmware, NicGrant } from '../../api/wire/common.ts'
import { type ForwardedPort, type LaunchConfig, launchConfig } from '../../api/wire/launch.ts'
import type { SwarmConfig, SwarmService } from '../../ports/swarm.ts'
import { labelConstraints } from './constraints.ts'
import { rawJson } from './raw.ts'
import { launchConfigName, uidsNamedBy } from './vm-service.ts'

/** As the launch config has it: undefined for BIOS without TPM and kernel, so that the default changes no hash. */
export function firmwareOf({ spec }: VirtualMachine): Firmware | undefined {
  const { mode = 'bios', secureBoot, tpm, kernel } = spec.firmware ?? {}
  if (mode === 'bios' && tpm !== true && kernel === undefined) return undefined
  return {
    mode,
    ...(secureBoot === true ? { secureBoot } : {}),
    ...(tpm === true ? { tpm } : {}),
    ...(kernel === undefined ? {} : { kernel }),
  }
}

/** A NIC behind NAT. The broker has no part in it. */
export interface UserNic {
  readonly name: string
  readonly mac: Mac
  readonly user: { readonly ports: readonly ForwardedPort[] }
}

export type VmNic = NicGrant | UserNic

/** The part of a VM that its node grants or provides. */
export interface Machine {
  readonly accelerator: AcceleratorChoice
  /** In the order of the manifest. */
  readonly nics: readonly VmNic[]
  readonly firmware?: Firmware | undefined
}

export function isUserNic(nic: VmNic): nic is UserNic {
  return 'user' in nic
}

/** The needs of a machine that its node must meet. */
export interface NodeNeeds {
  readonly accelerator: AcceleratorChoice
  readonly nics: readonly NicGrant[]
  /** The names of all networks; undefined if the broker creates all of them. */
  readonly networks?: readonly string[] | undefined
  readonly firmware?: Firmware | undefined
}

export function needsOf({ accelerator, nics, firmware }: Machine): NodeNeeds {
  const granted = nics.flatMap((nic) => (isUserNic(nic) ? [] : [nic]))
  return granted.length === nics.length
    ? { accelerator, nics: granted, ...withFirmware(firmware) }
    : { accelerator, nics: granted, networks: nics.map(({ name }) => name), ...withFirmware(firmware) }
}

/** The NICs of a VM with their MACs settled. `sshPort` is the port of the node for `ssh: auto`, if it is known. */
export function nicsOf(cluster: string, vm: VirtualMachine, sshPort?: number): VmNic[] {
  return vm.spec.networks.map((network) => {
    const { name, user, mtu = null } = network
    const mac = network.mac === 'auto' ? deterministicMac(cluster, vm.metadata.name, name) : network.mac
    if (user !== undefined) return { name, mac, user: { ports: forwardedPorts(user, sshPort) } }
    return { name, ...grantKeys(declaredAttachment(network)), mac, mtu }
  })
}

const guestSshPort = 22

function forwardedPorts({ ssh, ports }: UserNetwork, autoPort: number | undefined): ForwardedPort[] {
  const published = ssh === 'auto' ? autoPort : ssh
  const first = { name: sshPortName, guest: guestSshPort, protocol: 'tcp' } as const
  const others = ports.map(({ published: port, ...one }) => ({ ...one, ...(port === undefined ? {} : { published: port }) }))
  return published === 'off' || published === undefined ? others : [{ ...first, published }, ...others]
}

function declaredAttachment(network: Exclude<VirtualMachine['spec']['networks'][number], { user: UserNetwork }>): Attachment {
  const { bridge, direct, vlan, isolated = false, antiSpoof = 'mac' } = network
  return direct === undefined ? { kind: 'bridge', bridge, vlan, isolated, antiSpoof } : { kind: 'direct', ...direct }
}

/** As the launch config has them. */
export function launchNicsOf(cluster: string, vm: VirtualMachine, sshPort?: number): LaunchConfig['nics'] {
  return nicsOf(cluster, vm, sshPort).map((nic) => {
    const { name, mac } = nic
    if (isUserNic(nic)) return { name, mac, user: { ports: [...nic.user.ports] } }
    const { bridge, port, direct, mtu } = nic
    return { name, mac, ...(direct === undefined ? (port ?? { bridge }) : { direct }), ...(mtu === null ? {} : { mtu }) }
  })
}

/** All forwarded ports of a VM. */
export function portsIn({ nics }: Pick<LaunchConfig, 'nics'>): readonly ForwardedPort[] {
  return nics.flatMap(({ user }) => user?.ports ?? [])
}

export function declaredMachine(cluster: string, vm: VirtualMachine): Machine {
  return { accelerator: vm.spec.accelerator, nics: nicsOf(cluster, vm), ...withFirmware(firmwareOf(vm)) }
}

/** Equal for equal needs. */
export function machineMark({ accelerator, nics, networks, firmware }: NodeNeeds): string {
  const [named, started] = [networks === undefined ? [] : [networks], firmware === undefined ? [] : [{ firmware }]]
  return hashOf([accelerator, nics, ...named, ...started])
}

export function withFirmware(firmware: Firmware | undefined): { readonly firmware?: Firmware } {
  return firmware === undefined ? {} : { firmware }
}

/** The node's answer on the machine of a pending edit. */
export type MachineCheck = 'accepted' | 'refused' | 'unchecked'

/** As the placement record notes it (`swarmvirt.prepared`). */
export function noteOfCheck(machine: NodeNeeds, check: MachineCheck): string | undefined {
  if (check === 'unchecked') return undefined
  return check === 'accepted' ? machineMark(machine) : `refused ${machineMark(machine)}`
}

/** A note about a different machine does not count. */
export function checkOf(machine: NodeNeeds, note: string | undefined): MachineCheck {
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
  const nics = launch.nics.flatMap((nic): VmNic[] => {
    const { name, mac, user, mtu = null } = nic
    if (user !== undefined) return [{ name, mac, user }]
    const attachment = launchedAttachment(nic, service)
    return attachment === undefined ? [] : [{ name, mac, mtu, ...grantKeys(attachment) }]
  })
  return nics.length === launch.nics.length ? { accelerator: launch.accelerator, nics, ...withFirmware(launch.firmware) } : undefined
}

function launchedAttachment(nic: LaunchConfig['nics'][number], service: Pick<SwarmService, 'spec' | 'labels'>): Attachment | undefined {
  const { bridge = formerBridge(service), direct, vlan, isolated = false, antiSpoof = 'mac' } = nic
  if (direct !== undefined) return { kind: 'direct', ...direct }
  return bridge === undefined ? undefined : { kind: 'bridge', bridge, vlan, isolated, antiSpoof }
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

/** A config that is lost says nothing, and services of this release have it. */
export function readsLivePart(launch: LaunchConfig | undefined): boolean {
  return launch === undefined || launch.liveEdits === true
}

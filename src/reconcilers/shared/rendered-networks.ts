import { nodeLabels } from '../../api/labels.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { Declaration } from '../../ports/declarations.ts'
import type { ClusterSettings } from '../../ports/settings.ts'
import type { SwarmNode, SwarmService } from '../../ports/swarm.ts'
import type { PlacementRecord } from './placement-record.ts'
import { replicasOf } from './vm-service.ts'

type Network = VirtualMachine['spec']['networks'][number]
type Mode = Pick<ClusterSettings, 'networkMode'>

/**
 * The rendered declaration (ADR 0033): networks are behind NAT if the cluster says so, or if the VM fell back. Everything else follows
 * from this one place, and leaves it together.
 */
export function rendered(declaration: Declaration, mode: Mode, record: Pick<PlacementRecord, 'fallback'> | undefined): Declaration {
  if (declaration.kind !== 'present') return declaration
  const names = renderedNames(declaration.vm, mode, record)
  return names.length === 0 ? declaration : { ...declaration, vm: behindNat(declaration.vm, names) }
}

/** The networks that are rendered otherwise than the manifest says. */
export function renderedNames(
  { spec }: VirtualMachine,
  { networkMode }: Mode,
  record: Pick<PlacementRecord, 'fallback'> | undefined,
): readonly string[] {
  const bridged = spec.networks.filter(({ user }) => user === undefined)
  if (networkMode === 'user') return bridged.map(({ name }) => name)
  const fallen = record?.fallback ?? []
  return bridged.filter(({ name, fallback }) => fallback === 'user' && fallen.includes(name)).map(({ name }) => name)
}

/** These networks behind NAT, with the same names, and so the same MACs and PCI slots. The first network gets an SSH port and the readiness port. */
export function behindNat(vm: VirtualMachine, names: readonly string[]): VirtualMachine {
  const [first] = vm.spec.networks
  const networks = vm.spec.networks.map((network): Network => {
    if (network.user !== undefined || !names.includes(network.name)) return network
    const { name, mac, ipv4, fallback, state } = network
    return { name, mac, ipv4, fallback, state, user: network === first ? firstUser(vm) : { ssh: 'off', ports: [] } }
  })
  return { ...vm, spec: { ...vm.spec, networks } }
}

const guestSshPort = 22

function firstUser({ spec }: VirtualMachine): NonNullable<Network['user']> {
  const others = spec.networks.flatMap(({ user }) => user ?? [])
  const ssh = others.some((user) => user.ssh !== 'off') ? 'off' : 'auto'
  const port = spec.readiness !== undefined && 'tcp' in spec.readiness ? spec.readiness.tcp : undefined
  const taken = others.flatMap(({ ports }) => ports.flatMap(({ guest, protocol }) => (protocol === 'tcp' ? guest : [])))
  const isForwarded = port === undefined || taken.includes(port) || (ssh === 'auto' && port === guestSshPort)
  return { ssh, ports: isForwarded ? [] : [{ name: 'readiness', guest: port, protocol: 'tcp' }] }
}

/**
 * The networks that fall back on the VM's node. A running VM only returns to its bridges, since a bridge may be down for a moment. One that is
 * off falls back when its node lacks a bridge.
 */
export function fallbackOn(
  vm: VirtualMachine,
  record: Pick<PlacementRecord, 'fallback'>,
  node: Pick<SwarmNode, 'labels'>,
  service: SwarmService | undefined,
): readonly string[] {
  // The labels of bridges are written together with this one. Without it they say nothing.
  if (node.labels[nodeLabels.vmCapable] !== 'true') return record.fallback
  const isOff = service === undefined || replicasOf(service) === 0
  return vm.spec.networks.flatMap(({ name, bridge, fallback }) => {
    const isMissing = bridge !== undefined && fallback === 'user' && node.labels[nodeLabels.bridge(bridge)] !== 'true'
    return isMissing && (isOff || record.fallback.includes(name)) ? [name] : []
  })
}

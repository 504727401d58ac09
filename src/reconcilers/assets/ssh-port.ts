import { chooseSshPort } from '../../api/ssh-port.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import { serviceName, type VmName } from '../../api/names.ts'
import type { Declaration, Declarations } from '../../ports/declarations.ts'
import type { ClusterSettings } from '../../ports/settings.ts'
import type { Swarm, SwarmService } from '../../ports/swarm.ts'
import { type PlacementRecord, readPlacementRecords, recordsLabel } from '../shared/placement-record.ts'
import { publishedPorts } from '../shared/published-ports.ts'
import { rendered } from '../shared/rendered-networks.ts'
import { wantsAutoSshPort } from '../shared/ssh-port.ts'
import { vmOf } from '../shared/vm-service.ts'

interface Ports {
  readonly swarm: Pick<Swarm, 'listConfigs' | 'listServices'>
  readonly declarations: Pick<Declarations, 'get' | 'names'>
  readonly settings: Pick<ClusterSettings, 'networkMode'>
}

/**
 * The port of the node for `ssh: auto`: the VM's own for life, unless two controllers gave it to two VMs at once. Undefined if the manifest
 * does not ask for one, or if none is left.
 */
export async function observeSshPort(
  ports: Ports,
  { vm, record }: { readonly vm: VirtualMachine; readonly record: PlacementRecord },
  signal: AbortSignal,
): Promise<number | undefined> {
  if (!wantsAutoSshPort(vm)) return undefined
  const records = readPlacementRecords(await ports.swarm.listConfigs(recordsLabel, signal))
  const others = records.filter((one) => one.vm !== record.vm)
  const keeps = (port: number): boolean => !others.some((one) => one.sshPort === port && isEarlier(one, record))
  if (record.sshPort !== undefined && keeps(record.sshPort)) return record.sshPort
  const services = await ports.swarm.listServices(undefined, signal)
  const own = services.find(({ name }) => name === serviceName(record.vm))
  // The record lost its label, but the VM runs with the port.
  const running = own && sshPortOf(own)
  const isHeld = (port: number): boolean => others.some((one) => one.sshPort === port)
  if (record.sshPort === undefined && running !== undefined && !isHeld(running)) return running
  const byName = new Map(records.map((one) => [one.vm, one]))
  const get = (name: VmName): Declaration => rendered(ports.declarations.get(name), ports.settings, byName.get(name))
  const declarations = { get, names: () => ports.declarations.names() }
  return chooseSshPort(record.vm, waiting(declarations, records, services), taken(declarations, others, services, own))
}

/** Every controller decides alike which of two VMs keeps the port. */
function isEarlier(one: PlacementRecord, other: PlacementRecord): boolean {
  const [a, b] = [Date.parse(one.config.createdAt), Date.parse(other.config.createdAt)]
  return a < b || (a === b && one.vm < other.vm)
}

/** The VMs that still need a port. */
function waiting(declarations: Ports['declarations'], records: readonly PlacementRecord[], services: readonly SwarmService[]): VmName[] {
  const settled = new Set<VmName | undefined>([
    ...records.filter(({ sshPort }) => sshPort !== undefined).map(({ vm }) => vm),
    ...services.filter((one) => sshPortOf(one) !== undefined).map(vmOf),
  ])
  return declarations.names().filter((name) => {
    const declared = declarations.get(name)
    return declared.kind === 'present' && wantsAutoSshPort(declared.vm) && !settled.has(name)
  })
}

/** TCP ports of other VMs, in records, manifests and services, and of services of people. */
function taken(
  declarations: Ports['declarations'],
  others: readonly PlacementRecord[],
  services: readonly SwarmService[],
  own: SwarmService | undefined,
): ReadonlySet<number> {
  const declared = declarations.names().flatMap((name) => {
    const found = declarations.get(name)
    return found.kind === 'present' ? fixedPorts(found.vm) : []
  })
  const published = services
    .filter((one) => one !== own)
    .flatMap(publishedPorts)
    .filter(isTcp)
  return new Set([...others.flatMap(({ sshPort }) => sshPort ?? []), ...declared, ...published.map(({ port }) => port)])
}

function fixedPorts({ spec }: VirtualMachine): number[] {
  return spec.networks.flatMap(({ user }) => {
    const ports = (user?.ports ?? []).flatMap(({ published, protocol }) =>
      published === undefined || protocol === 'udp' ? [] : [published],
    )
    return typeof user?.ssh === 'number' ? [user.ssh, ...ports] : ports
  })
}

const guestSshPort = 22

function sshPortOf(service: SwarmService): number | undefined {
  return vmOf(service) === undefined
    ? undefined
    : publishedPorts(service)
        .filter(isTcp)
        .find(({ target }) => target === guestSshPort)?.port
}

function isTcp({ protocol }: { readonly protocol: string }): boolean {
  return protocol === 'tcp'
}

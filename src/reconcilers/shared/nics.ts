import { deterministicMac } from '../../api/mac.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { NicGrant } from '../../api/wire/common.ts'

/** The NICs of a VM with their MACs settled. */
export function nicsOf(cluster: string, vm: VirtualMachine): NicGrant[] {
  return vm.spec.networks.map(({ name, bridge, mac }) => ({
    name,
    bridge,
    mac: mac === 'auto' ? deterministicMac(cluster, vm.metadata.name, name) : mac,
    mtu: null,
  }))
}

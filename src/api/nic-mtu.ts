import type { NicGrant } from './wire/common.ts'

export function mtuTooSmall({ name, bridge, mtu }: Pick<NicGrant, 'name' | 'bridge' | 'mtu'>, bridgeMtu: number | undefined): string {
  return `bridge ${bridge} has MTU ${bridgeMtu}, and network ${name} needs ${mtu}; raise the MTU of all ports of ${bridge}, or lower mtu in the manifest`
}

export function mtuTooSmall(
  { name, mtu }: { readonly name: string; readonly mtu: number | null },
  bridge: string,
  bridgeMtu: number | undefined,
): string {
  return `bridge ${bridge} has MTU ${bridgeMtu}, and network ${name} needs ${mtu}; raise the MTU of all ports of ${bridge}, or lower mtu in the manifest`
}

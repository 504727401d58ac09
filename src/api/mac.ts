import { sha256Hex } from './hash.ts'
import type { VmName } from './names.ts'

/** Six lower-case hex octets with colons. */
export type Mac = string

const macPattern = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/

/** Reads `52:54:00:12:34:56`, `52-54-00-12-34-56` in any case; undefined for anything else, for multicast and for all zeros. */
export function parseMac(text: string): Mac | undefined {
  const mac = text.toLowerCase().replaceAll('-', ':')
  if (!macPattern.test(mac) || mac === '00:00:00:00:00:00') return undefined
  const first = Number.parseInt(mac.slice(0, 2), 16)
  return (first & 1) === 0 ? mac : undefined
}

/**
 * The MAC of a NIC: QEMU's prefix 52:54:00 and 24 bits of SHA-256 over cluster, VM and network name.
 * It depends on names only, so it is the same on every node and after delete and re-create, and a DHCP reservation can be made before the VM exists.
 */
export function deterministicMac(cluster: string, vm: VmName, network: string): Mac {
  const digest = sha256Hex(`swarmvirt/mac/v1/${cluster}/${vm}/${network}`)
  return `52:54:00:${digest.slice(0, 2)}:${digest.slice(2, 4)}:${digest.slice(4, 6)}`
}

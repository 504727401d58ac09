import * as z from 'zod/mini'
import { sha256Hex } from './hash.ts'
import type { VmName } from './names.ts'

/** Six lower-case hex octets with colons. */
export const macField = z
  .string()
  .check(z.regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/))
  .brand<'Mac'>()
export type Mac = z.output<typeof macField>

/** Reads `52:54:00:12:34:56`, `52-54-00-12-34-56` in any case; undefined for anything else, for multicast and for all zeros. */
export function parseMac(text: string): Mac | undefined {
  const { data: mac } = macField.safeParse(text.toLowerCase().replaceAll('-', ':'))
  if (mac === undefined || mac === '00:00:00:00:00:00') return undefined
  const first = Number.parseInt(mac.slice(0, 2), 16)
  return (first & 1) === 0 ? mac : undefined
}

/**
 * The MAC of a NIC: QEMU's prefix 52:54:00 and 24 bits of SHA-256 over cluster, VM and network name.
 * It depends on names only, so it is the same on every node and after delete and re-create, and a DHCP reservation can be made before the VM exists.
 */
export function deterministicMac(cluster: string, vm: VmName, network: string): Mac {
  const digest = sha256Hex(`swarmvirt/mac/v1/${cluster}/${vm}/${network}`)
  return macOf([0x52, 0x54, 0x00, ...Buffer.from(digest.slice(0, 6), 'hex')])
}

/** The MAC of six bytes. */
export function macOf(bytes: Iterable<number>): Mac {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':') as Mac
}

import * as z from 'zod/mini'
import { interfaceField, ipv4Field } from './common.ts'
import { macField } from '../mac.ts'

/**
 * `instances/<uid>/addresses.json`: the addresses last seen on a VM's NICs. The broker only keeps them in memory, and a quiet guest may send
 * nothing for hours, so without this file an upgrade would lose valid addresses. They are only claims, which each probe verifies.
 */
export const addressesFile = z.object({
  version: z.literal(1),
  heard: z
    .array(z.object({ mac: macField, ip: ipv4Field, via: z.enum(['arp', 'dhcp']), interface: interfaceField, at: z.iso.datetime() }))
    .check(z.maxLength(64)),
})
export type AddressesFile = z.output<typeof addressesFile>

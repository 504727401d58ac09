import * as z from 'zod'
import { interfaceField, ipv4Field, macField } from './common.ts'

/**
 * `instances/<uid>/addresses.json`: what was last heard of a VM's NICs. The broker keeps that in memory alone, and a quiet guest may say nothing
 * for hours: after an upgrade of broker and agent a lease that is good would look lost. A claim, proven again by each probe.
 */
export const heardAddresses = z.object({
  version: z.literal(1),
  heard: z
    .array(z.object({ mac: macField, ip: ipv4Field, via: z.enum(['arp', 'dhcp']), interface: interfaceField, at: z.iso.datetime() }))
    .max(64),
})
export type HeardAddresses = z.output<typeof heardAddresses>

import * as z from 'zod/mini'
import { hashOf, sha256Hex } from './hash.ts'

/** Lower-case letters, digits and inner hyphens; 50 characters leave room for `sv-vm-` in 64 (config names) and `vm-` in 63 (service names). */
export const vmNamePattern = /^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$/
export const vmNameField = z.string().check(z.regex(vmNamePattern)).brand<'VmName'>()
export type VmName = z.output<typeof vmNameField>
const uidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
export const uidField = z.string().check(z.regex(uidPattern)).brand<'VmUid'>()
export type VmUid = z.output<typeof uidField>
/** A node of the Swarm, by the ID that Docker gave it; never its hostname. */
export const nodeIdField = z
  .string()
  .check(z.regex(/^[0-9a-zA-Z][0-9a-zA-Z_.-]{0,63}$/))
  .brand<'NodeId'>()
export type NodeId = z.output<typeof nodeIdField>
/** A Linux interface name has at most 15 bytes (IFNAMSIZ without its NUL). Ours also cannot be read as an option or a path. */
export const interfaceNamePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$/
/** Names of disks and networks inside one VM. */
export const partNamePattern = /^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$/
export const clusterNamePattern = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/

export function isVmName(text: string): text is VmName {
  return vmNamePattern.test(text)
}

/** Undefined for what is no name of a VM. */
export function vmNameOf(text: string | undefined): VmName | undefined {
  return text !== undefined && isVmName(text) ? text : undefined
}

export function isUid(text: string): text is VmUid {
  return uidPattern.test(text)
}

export function isNodeId(text: string): text is NodeId {
  return nodeIdField.safeParse(text).success
}

/** Undefined for what is no ID of a node. */
export function nodeIdOf(text: string | undefined): NodeId | undefined {
  return text !== undefined && isNodeId(text) ? text : undefined
}

export function newUid(random: { uuid(): string }): VmUid {
  return uidField.parse(random.uuid())
}

export const servicePrefix = 'vm-'

export function serviceName(vm: VmName): string {
  return `${servicePrefix}${vm}`
}

export const recordPrefix = 'sv-vm-'

/** The placement record. Two controllers may race to create it; the loser gets 409. */
export function placementRecordName(vm: VmName): string {
  return `${recordPrefix}${vm}`
}

/** The VM in the name of a service or a record; undefined if the prefix or a valid name is missing. */
export function vmNameAfter(prefix: typeof servicePrefix | typeof recordPrefix, name: string): VmName | undefined {
  return name.startsWith(prefix) ? vmNameOf(name.slice(prefix.length)) : undefined
}

/** The Swarm config that says which controller may stop and restart guests (ADR 0025). */
export function disruptionLeaseName(cluster: string): string {
  return `sv-lease-${cluster}`
}

/** Configs and secrets are immutable, so their name is derived from their content: `sv-` and 32 hex digits, within Swarm's 64. */
export function contentName(kind: 'launch' | 'userdata' | 'networkdata', uid: VmUid, content: string): string {
  return `sv-${hashOf([kind, uid, sha256Hex(content)])}`
}

/** The name of a NIC's TAP on the host: `sv` and 12 hex digits, 14 of the 15 bytes that an interface name may have. */
export function tapName(uid: VmUid, network: string): string {
  return `sv${sha256Hex(`${uid}/${network}`).slice(0, 12)}`
}
export const tapNamePattern = /^sv[0-9a-f]{12}$/

/** The macvtap of a NIC on a device of the host; its TAP stands for the holder. */
export function directLinkName(uid: VmUid, network: string): string {
  return `sm${tapName(uid, network).slice(2)}`
}
export const directLinkNamePattern = /^sm[0-9a-f]{12}$/

import { readFileSync } from 'node:fs'
import { interfaceIndex } from './interfaces.ts'
import type { Libc } from './libc.ts'
import { type Attribute, delLink, requestLink, setLink, u8 } from './rtnetlink.ts'

/** Numbers of linux/if_link.h and linux/if_bridge.h. */
const afBridge = 7
const iflaProtinfo = 12
const iflaBrportIsolated = 33
const iflaAfSpec = 26
const iflaBridgeVlanInfo = 2
const vlanPvid = 2
const vlanUntagged = 4

/**
 * Keeps a port from exchanging frames with other isolated ports of its bridge (bridge(8), `isolated`). The kernel ignores attributes that it
 * does not know, so the result is read back. Throws SystemError or Error.
 */
export function isolatePort(libc: Libc, name: string): void {
  const attributes: Attribute[] = [[iflaProtinfo, [[iflaBrportIsolated, u8(1)]]]]
  requestLink(libc, { type: setLink, family: afBridge, index: indexOf(name), attributes })
  if (!isIsolated(name)) throw new Error(`this kernel did not isolate the bridge port ${name}; Linux 4.18 or later can`)
}

function isIsolated(name: string): boolean {
  try {
    return readFileSync(`/sys/class/net/${name}/brport/isolated`, 'utf8').trim() === '1'
  } catch {
    return false
  }
}

/** Frames of the guest belong to this VLAN, and leave it without a tag. The port leaves the bridge's default VLAN. Throws SystemError. */
export function setPortVlan(libc: Libc, name: string, vlan: number, defaultVlan: number): void {
  const index = indexOf(name)
  requestLink(libc, { type: setLink, family: afBridge, index, attributes: vlanAttributes(vlan, vlanPvid | vlanUntagged) })
  if (defaultVlan !== 0 && defaultVlan !== vlan)
    requestLink(libc, { type: delLink, family: afBridge, index, attributes: vlanAttributes(defaultVlan, 0) })
}

/** struct bridge_vlan_info: flags and VLAN ID. */
export function vlanAttributes(vlan: number, flags: number): Attribute[] {
  const info = Buffer.alloc(4)
  info.writeUInt16LE(flags, 0)
  info.writeUInt16LE(vlan, 2)
  return [[iflaAfSpec, [[iflaBridgeVlanInfo, info]]]]
}

function indexOf(name: string): number {
  const index = interfaceIndex(name)
  if (index === undefined) throw new Error(`there is no interface ${name}`)
  return index
}

import { readFileSync } from 'node:fs'
import type { BridgeForwarding } from '../../ports/bridge-forwarding.ts'
import { droppingChain } from './forward-rules.ts'
import { nft } from './nft.ts'

/** 1 if bridged IPv4 packets pass the FORWARD rules. Absent without the module br_netfilter. */
const callsIptables = '/proc/sys/net/bridge/bridge-nf-call-iptables'

/** Rules of nftables and of iptables-nft. Rules of iptables-legacy are not visible to nft. */
export const bridgeForwarding: BridgeForwarding = {
  async drop(bridge) {
    if (!isFiltered()) return undefined
    const chain = droppingChain(await nft(['-j', 'list ruleset ip; list ruleset inet']), bridge)
    return chain === undefined ? undefined : { chain }
  },
  async accept(bridge, { chain }) {
    await nft([`insert rule ${chain} iifname "${bridge}" oifname "${bridge}" counter accept`])
  },
}

function isFiltered(): boolean {
  try {
    return readFileSync(callsIptables, 'utf8').trim() === '1'
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

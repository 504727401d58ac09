/** The firewall rules of the host that drop IPv4 packets which a bridge forwards. */
interface ForwardDrop {
  /** The chain that drops them, such as `ip filter FORWARD`. */
  readonly chain: string
}

/**
 * With br_netfilter, frames that a bridge forwards pass the host's FORWARD rules, whose policy Docker sets to DROP. Every method rejects with
 * HostError `Io`.
 */
export interface BridgeForwarding {
  /** Undefined if no rule is known to drop frames between ports of this bridge. */
  drop(bridge: string): Promise<ForwardDrop | undefined>
  /** Adds a rule before all others of this chain that accepts them. */
  accept(bridge: string, drop: ForwardDrop): Promise<void>
}

import type { BridgeForwarding } from '../ports/bridge-forwarding.ts'
import type { Log } from '../ports/log.ts'
import type { LinkProblem } from './link-problems.ts'

export interface ForwardDropsOptions {
  readonly forwarding: BridgeForwarding
  readonly bridges: readonly string[]
  /** Add the rule that is missing, because the command line says so. */
  readonly fix: boolean
  readonly log: Log
}

/** Whether the host's FORWARD rules drop what guests send over each allowed bridge. */
export class ForwardDrops {
  readonly #options: ForwardDropsOptions
  readonly #problems = new Map<string, LinkProblem>()
  #checking: Promise<void> | undefined
  #lastFault = ''

  constructor(options: ForwardDropsOptions) {
    this.#options = options
  }

  problem(bridge: string): LinkProblem | undefined {
    return this.#problems.get(bridge)
  }

  /** A second call joins the pending check. Never rejects. */
  check(): Promise<void> {
    this.#checking ??= this.#checkAll().finally(() => (this.#checking = undefined))
    return this.#checking
  }

  async #checkAll(): Promise<void> {
    const { bridges, log } = this.#options
    try {
      for (const bridge of bridges) await this.#checkOne(bridge)
      this.#lastFault = ''
    } catch (error) {
      const { message } = error as Error
      if (message !== this.#lastFault) log.warn({ err: error }, 'Cannot check whether the host forwards frames of guests')
      this.#lastFault = message
    }
  }

  async #checkOne(bridge: string): Promise<void> {
    const { fix, forwarding, log } = this.#options
    const found = await forwarding.drop(bridge)
    if (found === undefined) return void this.#problems.delete(bridge)
    if (fix) {
      await forwarding.accept(bridge, found)
      log.info({ bridge, ...found }, 'Allowed forwarding between the ports of a bridge')
      if ((await forwarding.drop(bridge)) === undefined) return void this.#problems.delete(bridge)
    }
    this.#problems.set(bridge, { reason: 'ForwardDropped', message: whyDropped(bridge, found.chain) })
  }
}

function whyDropped(bridge: string, chain: string): string {
  const rule = `iptables -I FORWARD -i ${bridge} -o ${bridge} -j ACCEPT`
  return `the firewall of the node drops frames between guests and the LAN on ${bridge} (chain ${chain}, whose policy Docker sets to drop); allow them with \`${rule}\` and make the rule permanent, or run install-node.sh with --fix-forward`
}

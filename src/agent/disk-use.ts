import type { VmUid } from '../api/names.ts'
import { PortError } from '../ports/errors.ts'
import type { Runners } from '../ports/runners.ts'
import { BrokerRefusal, type BrokerLink } from './broker-link.ts'

const brokerTimeoutMs = 3_000

export type DiskUse =
  | { readonly kind: 'off' }
  | { readonly kind: 'on'; readonly message: string }
  /** Nobody can say. */
  | { readonly kind: 'unknown'; readonly message: string }

/**
 * Whether anything says that a VM is on: a runner that holds its lease or waits for it, a TAP that a process has attached, a runner that answers.
 * A runner can take back all of that while it lives, so `off` only means that it is worth claiming the disks: the kernel says who has those open.
 */
export async function diskUse(broker: BrokerLink, runners: Pick<Runners, 'status'>, uid: VmUid, signal: AbortSignal): Promise<DiskUse> {
  const leased = await askBroker(broker, uid)
  if (leased.kind !== 'off') return leased
  try {
    const { phase } = await runners.status(uid, signal)
    return { kind: 'on', message: `its runner is there, in phase ${phase}` }
  } catch (error) {
    if (!(error instanceof PortError)) throw error
    return { kind: 'off' }
  }
}

async function askBroker(broker: BrokerLink, uid: VmUid): Promise<DiskUse> {
  try {
    const { leases } = await broker.ask({ type: 'leases', uids: [uid] }, 'leases', brokerTimeoutMs)
    const lease = leases.find((one) => one.uid === uid)
    if (lease?.held === true) return { kind: 'on', message: 'a runner holds its lease' }
    if ((lease?.waiting ?? 0) > 0) return { kind: 'on', message: 'a runner waits for its lease' }
    const attached = lease?.nics.find((nic) => nic.attached)
    return attached === undefined ? { kind: 'off' } : { kind: 'on', message: `a process has its TAP ${attached.tap} attached` }
  } catch (error) {
    if (!(error instanceof PortError || error instanceof BrokerRefusal)) throw error
    return { kind: 'unknown', message: error.message }
  }
}

import type { VmUid } from '../api/names.ts'
import { PortError } from '../ports/errors.ts'
import type { Runners } from '../ports/runners.ts'
import { BrokerRefusal, type BrokerLink } from './broker-link.ts'

const brokerTimeoutMs = 3_000

export type DiskUse =
  | { readonly kind: 'off' }
  | { readonly kind: 'on'; readonly message: string }
  /** It cannot be determined. */
  | { readonly kind: 'unknown'; readonly message: string }

/**
 * Checks whether a VM is on: a runner holds its lease or waits for it, a process has attached its TAP, or its runner answers. A runner can fake all
 * of these, so `off` only means that claiming the disks is worth a try. The kernel knows who has them open.
 */
export async function diskUse(broker: BrokerLink, runners: Pick<Runners, 'status'>, uid: VmUid, signal: AbortSignal): Promise<DiskUse> {
  const leased = await askBroker(broker, uid)
  if (leased.kind !== 'off') return leased
  try {
    const { phase } = await runners.status(uid, signal)
    return { kind: 'on', message: `its runner is in phase ${phase}` }
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
    if ((lease?.waiting ?? 0) > 0) return { kind: 'on', message: 'a runner is waiting for its lease' }
    const attached = lease?.nics.find((nic) => nic.attached)
    return attached === undefined ? { kind: 'off' } : { kind: 'on', message: `a process has its TAP ${attached.tap} attached` }
  } catch (error) {
    if (!(error instanceof PortError || error instanceof BrokerRefusal)) throw error
    return { kind: 'unknown', message: error.message }
  }
}

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

/** Whether a VM is on: a runner holds its lease or waits for it, or answers. Whether a disk is open is asked of the disk itself. */
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
    return (lease?.waiting ?? 0) > 0 ? { kind: 'on', message: 'a runner waits for its lease' } : { kind: 'off' }
  } catch (error) {
    if (!(error instanceof PortError || error instanceof BrokerRefusal)) throw error
    return { kind: 'unknown', message: error.message }
  }
}

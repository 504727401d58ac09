import type { Layout } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import { agentApiVersion, type VmStatus } from '../api/wire/agent-api.ts'
import { PortError } from '../ports/errors.ts'
import type { Runners } from '../ports/runners.ts'
import type { StateFiles } from '../ports/state-files.ts'
import { BrokerRefusal, type BrokerLink } from './broker-link.ts'
import type { Grants } from './grants.ts'
import type { heardAddressBook } from './heard-addresses.ts'

const brokerTimeoutMs = 3_000

export interface VmStatusOptions {
  readonly layout: Layout
  readonly files: StateFiles
  readonly grants: Grants
  readonly broker: BrokerLink
  readonly runners: Runners
  readonly heard: ReturnType<typeof heardAddressBook>
}

/** Everything that is known here about one VM; undefined where it has neither directory nor grant. Throws StateError. */
export async function readVmStatus(options: VmStatusOptions, uid: VmUid, signal: AbortSignal): Promise<VmStatus | undefined> {
  const grant = await options.grants.read(uid)
  if (grant === undefined && (await options.files.stat(options.layout.instance(uid))) === undefined) return undefined
  const macs = grant?.nics.map((nic) => nic.mac) ?? []
  const [broker, runner] = await Promise.all([askBroker(options.broker, uid, macs), askRunner(options.runners, uid, signal)])
  const sightings = await options.heard.merge(uid, broker.sightings, runner.runner?.startedAt)
  return { version: agentApiVersion, uid, ...broker, ...runner, sightings }
}

async function askBroker(broker: BrokerLink, uid: VmUid, macs: string[]): Promise<Pick<VmStatus, 'lease' | 'sightings' | 'brokerMessage'>> {
  try {
    const [{ leases }, { sightings }] = await Promise.all([
      broker.ask({ type: 'leases', uids: [uid] }, 'leases', brokerTimeoutMs),
      broker.ask({ type: 'sightings', macs }, 'sightings', brokerTimeoutMs),
    ])
    return { lease: leases.find((lease) => lease.uid === uid) ?? null, sightings, brokerMessage: '' }
  } catch (error) {
    if (!(error instanceof PortError || error instanceof BrokerRefusal)) throw error
    return { lease: null, sightings: [], brokerMessage: error.message.slice(0, 2000) }
  }
}

async function askRunner(runners: Runners, uid: VmUid, signal: AbortSignal): Promise<Pick<VmStatus, 'runner' | 'runnerMessage'>> {
  try {
    return { runner: await runners.status(uid, signal), runnerMessage: '' }
  } catch (error) {
    if (!(error instanceof PortError)) throw error
    return { runner: null, runnerMessage: error.message.slice(0, 2000) }
  }
}

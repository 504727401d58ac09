import type { Mac } from '../api/mac.ts'
import type { Layout } from '../api/layout.ts'
import { tapName, type VmUid } from '../api/names.ts'
import { agentApiVersion, type VmStatus } from '../api/wire/agent-api.ts'
import type { Sighting } from '../api/wire/broker-admin.ts'
import type { RunnerStatus } from '../api/wire/runner-control.ts'
import type { Grant } from '../api/wire/common.ts'
import { PortError } from '../ports/errors.ts'
import type { Runners } from '../ports/runners.ts'
import type { StateFiles } from '../ports/state-files.ts'
import { BrokerRefusal, type BrokerLink } from './broker-link.ts'
import type { Grants } from './grants.ts'
import type { learnedAddresses } from './learned-addresses.ts'
import { hasInstance } from './inventory.ts'

const brokerTimeoutMs = 3_000

export interface VmStatusOptions {
  readonly layout: Layout
  readonly files: StateFiles
  readonly grants: Grants
  readonly broker: BrokerLink
  readonly runners: Runners
  readonly addresses: ReturnType<typeof learnedAddresses>
}

/** The status of one VM on this node. Undefined if it has neither a directory nor a grant. Throws StateError. */
export async function readVmStatus(options: VmStatusOptions, uid: VmUid, signal: AbortSignal): Promise<VmStatus | undefined> {
  const grant = await options.grants.read(uid)
  if (grant === undefined && !(await hasInstance(options.layout, options.files, uid))) return undefined
  const macs = grant?.nics.map((nic) => nic.mac) ?? []
  const [broker, runner] = await Promise.all([askBroker(options.broker, uid, macs), askRunner(options.runners, uid, signal)])
  const sightings = await options.addresses.merge(uid, ofOwnTaps(broker.sightings, uid, grant), since(runner.runner))
  return { version: agentApiVersion, uid, ...broker, ...runner, sightings: ofOwnTaps(sightings, uid, grant) }
}

/** Addresses learned before the guest booted belong to the previous guest. A runner of release 0.1 only reports its own start. */
function since(runner: RunnerStatus | null): string | undefined {
  return runner?.container === undefined ? runner?.startedAt : runner.bootedAt
}

/** Drops sightings from other interfaces of the bridge, which release 0.1 reported and stored (ADR 0024). */
function ofOwnTaps(sightings: readonly Sighting[], uid: VmUid, grant: Grant | undefined): Sighting[] {
  const taps = new Set(grant?.nics.map((nic) => tapName(uid, nic.name)))
  return sightings.filter((one) => taps.has(one.interface))
}

async function askBroker(broker: BrokerLink, uid: VmUid, macs: Mac[]): Promise<Pick<VmStatus, 'lease' | 'sightings' | 'brokerMessage'>> {
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

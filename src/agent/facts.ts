import type { Layout } from '../api/layout.ts'
import type { NodeFeature } from '../api/node-features.ts'
import { agentApiVersion, type NodeFacts, type Overuse } from '../api/wire/agent-api.ts'
import type { BrokerFacts } from '../api/wire/broker-admin.ts'
import { PortError } from '../ports/errors.ts'
import type { StateFiles } from '../ports/state-files.ts'
import { BrokerRefusal, type BrokerLink } from './broker-link.ts'
import type { KvmProber } from './kvm-prober.ts'

const brokerTimeoutMs = 3_000

/** Facts that stay the same while the agent runs. */
export interface HostFacts {
  readonly hostname: string
  readonly memoryBytes: number
  readonly cpus: number
  /** The agent's image has them, and it is the runners' image too. */
  readonly features: readonly NodeFeature[]
}

export interface FactsOptions {
  readonly release: string
  readonly host: HostFacts
  readonly layout: Layout
  readonly files: Pick<StateFiles, 'space'>
  readonly broker: BrokerLink
  readonly prober: KvmProber
  readonly overuse: () => readonly Overuse[]
}

/** Throws StateError if the state root cannot be read. Never waits for the KVM probe. */
export async function readFacts({ release, host, layout, files, broker, prober, overuse }: FactsOptions): Promise<NodeFacts> {
  const [disk, asked] = await Promise.all([files.space(layout.root), askBroker(broker)])
  if (asked.broker) prober.notice(asked.broker.devices.kvm)
  return {
    version: agentApiVersion,
    release,
    ...host,
    features: [...host.features],
    ...asked,
    kvm: prober.kvm(),
    tcg: prober.tcg(),
    disk,
    overuse: [...overuse()],
  }
}

async function askBroker(broker: BrokerLink): Promise<{ broker: BrokerFacts | null; brokerMessage: string }> {
  try {
    const { facts } = await broker.ask({ type: 'facts' }, 'facts', brokerTimeoutMs)
    return { broker: facts, brokerMessage: '' }
  } catch (error) {
    if (!(error instanceof PortError || error instanceof BrokerRefusal)) throw error
    return { broker: null, brokerMessage: error.message.slice(0, 2000) }
  }
}

import { PortError } from '../../ports/errors.ts'
import { unlessGone } from '../shared/answers.ts'
import type { AssetsAction } from './actions.ts'
import { type AssumedPlacements, whileClaimed } from '../shared/assumed-placements.ts'
import type { AssetsPorts } from './observe.ts'
import { type OrderAnswers, unlessRejected } from './order-answers.ts'

/** Applies one write. Two controllers may race to create a record: the loser gets Conflict and then observes the winner's. */
export async function applyAssets(
  ports: Pick<AssetsPorts, 'swarm' | 'agents' | 'lease'> & { readonly assumed: AssumedPlacements; readonly answers: OrderAnswers },
  action: AssetsAction,
  signal: AbortSignal,
): Promise<void> {
  const { swarm, assumed } = ports
  switch (action.kind) {
    case 'createRecord':
      await whileClaimed(assumed, action.claim, () => swarm.createConfig(action.name, action.labels, action.data, signal))
      return
    case 'updateRecordLabels':
      return swarm.updateConfigLabels(action.config, action.labels, signal)
    case 'prepare':
      return prepare(ports, action, signal)
    case 'deleteDisks':
      return deleteDisks(ports, action, signal)
    case 'removeRecord':
      return unlessGone(swarm.removeConfig(action.id, signal))
    case 'revokeGrant':
      return unlessGone(ports.agents.on(action.nodeId).revoke(action.uid, signal))
    case 'takeLease':
    case 'askHolder':
      return ports.lease.apply(action, signal)
  }
}

/** The next run shows the answer, also if the agent rejects the order or does not respond. */
async function prepare(
  { agents, answers }: Pick<AssetsPorts, 'agents'> & { readonly answers: OrderAnswers },
  { nodeId, order }: Extract<AssetsAction, { kind: 'prepare' }>,
  signal: AbortSignal,
): Promise<void> {
  answers.set(order.vm, { order, answer: await unlessRejected(agents.on(nodeId).prepare(order, signal)) })
}

/** Throws NotYet while the node waits, and Invalid if it rejects the order, which only a user can resolve. */
async function deleteDisks(
  { agents }: Pick<AssetsPorts, 'agents'>,
  { nodeId, order }: Extract<AssetsAction, { kind: 'deleteDisks' }>,
  signal: AbortSignal,
): Promise<void> {
  const status = await agents.on(nodeId).deleteDisks(order, signal)
  switch (status.state) {
    case 'gone':
      return
    case 'waiting':
      throw new PortError('NotYet', `${status.reason}: ${status.message}`)
    case 'failed':
      throw new PortError('Invalid', `${status.reason}: ${status.message}`)
  }
}

import { revokeGrant } from '../shared/revoke.ts'
import type { AssetsAction } from './actions.ts'
import type { AssetsPorts } from './observe.ts'

/** Creating the record is the race for a VM's identity: the loser gets Conflict and observes the winner's. */
export async function applyAssets(ports: Pick<AssetsPorts, 'swarm' | 'agents'>, action: AssetsAction, signal: AbortSignal): Promise<void> {
  switch (action.kind) {
    case 'createRecord':
      await ports.swarm.createConfig(action.name, action.labels, action.data, signal)
      return
    case 'updateRecordLabels':
      return ports.swarm.updateConfigLabels(action.config, action.labels, signal)
    case 'revokeGrant':
      return revokeGrant(ports.agents, action, signal)
  }
}

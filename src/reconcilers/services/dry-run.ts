import { objectLabels } from '../../api/labels.ts'
import type { Edit } from '../../api/manifest/edits.ts'
import type { VmName } from '../../api/names.ts'
import type { PlannedStep } from '../../api/wire/plan.ts'
import type { SwarmService } from '../../ports/swarm.ts'
import type { Next } from '../reconciler.ts'
import { launchOf, readsLivePart } from '../shared/applied.ts'
import { dig } from '../shared/raw.ts'
import { replicasOf } from '../shared/vm-service.ts'
import type { ServicesAction } from './actions.ts'
import { observeServices, type ServicesPorts } from './observe.ts'
import { planResumed } from './plan.ts'

export interface ServicesDryRun {
  readonly steps: readonly PlannedStep[]
  readonly edits: readonly Edit[]
  /** A step writes the template, which applies the edits. */
  readonly writesEdits: boolean
  readonly next: Next
  /** The VM was started by a runner that reads the live part, or will be. */
  readonly liveEdits: boolean
}

/** A dry run: the actions as if the VM were neither suspended nor under another controller's lease. Only reads. */
export async function dryRunServices(
  ports: Omit<ServicesPorts, 'lease'>,
  vm: VmName,
  nowMs: number,
  signal: AbortSignal,
): Promise<ServicesDryRun> {
  const seen = await observeServices(ports, vm, signal)
  const { actions, next, edits = [] } = planResumed(seen, nowMs)
  const service = 'service' in seen.owned ? seen.owned.service : undefined
  return {
    steps: actions.map((action) => stepOf(action, service)),
    edits,
    writesEdits: actions.some(appliesEdits),
    next,
    liveEdits: service === undefined || readsLivePart(launchOf(service, seen.configs)),
  }
}

/** Restoring a previous template does not apply the edits. */
function appliesEdits(action: ServicesAction): boolean {
  if (action.kind !== 'updateService' || action.touches !== 'template') return false
  const { appliedHash, desiredHash } = objectLabels
  return dig(action.spec, 'Labels', appliedHash) === dig(action.spec, 'Labels', desiredHash)
}

function stepOf(action: ServicesAction, service: SwarmService | undefined): PlannedStep {
  const { kind } = action
  switch (kind) {
    case 'createConfig':
      return { verb: 'create', object: `config ${action.name}`, why: 'launch configuration of the guest', guest: 'untouched' }
    case 'createSecret':
      return { verb: 'create', object: `secret ${action.name}`, why: 'user data of the guest', guest: 'untouched' }
    case 'updateConfigLabels':
      return { verb: 'change', object: `config ${action.config.name}`, why: 'labels differ from the expected ones', guest: 'untouched' }
    case 'createService': {
      const guest = replicasOf(action) > 0 ? 'starts' : 'untouched'
      return { verb: 'create', object: `service ${action.name}`, why: 'the VM has no service', guest }
    }
    case 'updateService': {
      const guest = guestOf(service === undefined ? 0 : replicasOf(service), replicasOf(action), action.touches === 'template')
      return { verb: 'change', object: `service ${action.name}`, why: action.why, guest }
    }
    case 'takeLease':
    case 'askHolder':
      return { verb: 'change', object: 'lease of the controllers', why: 'required to stop or restart a guest', guest: 'untouched' }
    case 'removeService':
      return { verb: 'remove', object: `service ${action.name}`, why: 'the manifest was removed', guest: 'stops' }
    case 'removeConfig':
      return { verb: 'remove', object: `config ${action.name}`, why: 'nothing uses it', guest: 'untouched' }
    case 'removeSecret':
      return { verb: 'remove', object: `secret ${action.name}`, why: 'nothing uses it', guest: 'untouched' }
    default:
      return kind satisfies never
  }
}

function guestOf(from: number, to: number, isTemplate: boolean): PlannedStep['guest'] {
  if (to === 0) return from === 0 ? 'untouched' : 'stops'
  if (from === 0) return 'starts'
  return isTemplate ? 'restarts' : 'untouched'
}

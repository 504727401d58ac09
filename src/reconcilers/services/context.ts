import { objectLabels } from '../../api/labels.ts'
import type { Edit } from '../../api/manifest/edits.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { VmUid } from '../../api/names.ts'
import type { Labels, RawSpec, SwarmService } from '../../ports/swarm.ts'
import {
  appliedMachine,
  checkOf,
  declaredMachine,
  launchOf,
  type MachineCheck,
  machineMark,
  needsOf,
  readsLivePart,
} from '../shared/applied.ts'
import { nodeIdIn } from '../shared/constraints.ts'
import { rawObject } from '../shared/raw.ts'
import { isSshPortMissing, sshPortIn } from '../shared/ssh-port.ts'
import { replicasOf } from '../shared/vm-service.ts'
import { forceUpdateOf } from './drift.ts'
import { whyUnfit } from './fit.ts'
import { type Inputs, inputsOf } from './inputs.ts'
import type { ServicesSeen } from './observe.ts'
import { renderTemplate } from './render.ts'
import { editsBetween, restartHash } from './restart-inputs.ts'
import type { NodeId } from '../../api/names.ts'

export type Present = Extract<ServicesSeen['declaration'], { kind: 'present' }>

export interface Target {
  readonly service: SwarmService
  readonly uid: VmUid
  readonly node: NodeId | undefined
  readonly replicas: 0 | 1
  /** Written to the service (run-wish.ts). */
  readonly runLabels: Labels
}

/** The input of every decision about an existing service. */
export interface Context extends Target {
  readonly seen: ServicesSeen
  readonly nowMs: number
  readonly generation: string
  readonly updatePolicy: VirtualMachine['spec']['updatePolicy']
  readonly inputs: Inputs
  /** The hash of the manifest for the running VM. It has the live part if its runner does not read that, unlike the hash of `inputs`. */
  readonly wantedHash: string
  /** The node's check of the manifest's accelerator and networks; `accepted` if they are already applied. */
  readonly check: MachineCheck
  /** Why the machine before an edit could not start, such as a label that its node does not have yet. */
  readonly previousUnfit: string | undefined
  /**
   * The replicas to write. Does not start the previous machine while its node could not run it. A VM that the manifest switches on also waits
   * for the check of its edit; one that somebody scaled to 0 does not.
   */
  readonly replicasNow: number
  /** Differences between the manifest and the running VM; undefined if the running configuration is unknown. */
  readonly edits: readonly Edit[] | undefined
  /** The template that this release renders for the manifest. */
  readonly draft: RawSpec
  /** Counts manual restarts. */
  readonly forceUpdate: number
}

export function contextOf(seen: ServicesSeen, declaration: Present, target: Target, nowMs: number): Context {
  const { vm, generation } = declaration
  const { configs, record, settings } = seen
  const { service, uid, replicas } = target
  const { cluster } = settings
  const launch = launchOf(service, configs)
  const disks = record?.disks ?? launch?.disks.map(({ name }) => name)
  const sshPort = record?.sshPort ?? (launch && sshPortIn(launch))
  const wanted = { cluster, vm, uid, disks, grown: record?.grown, liveEdits: readsLivePart(launch), sshPort }
  const inputs = inputsOf(wanted)
  const wantedHash = restartHash(wanted)
  const forceUpdate = forceUpdateOf(service)
  // Without a node nothing is written, see whyUnfit.
  const node = target.node ?? nodeIdIn(service) ?? ''
  const edits = launch && editsBetween({ service, launch, settings }, wanted)
  const check = isSshPortMissing(vm, { sshPort }) ? 'unchecked' : machineCheck(seen, vm, target)
  const previousUnfit = (edits ?? []).length === 0 ? undefined : whyUnfit(rawObject(service.spec['TaskTemplate']), seen.node)
  // Another VM took its port while it was off: a task could not start.
  const isPortTaken = seen.portConflict !== undefined && replicasOf(service) === 0
  const isUnchecked = check === 'unchecked' && service.labels[objectLabels.generation] !== generation
  return {
    ...target,
    seen,
    nowMs,
    generation,
    updatePolicy: vm.spec.updatePolicy,
    inputs,
    wantedHash,
    check,
    previousUnfit,
    replicasNow: isUnchecked || isPortTaken || previousUnfit !== undefined ? Math.min(replicas, replicasOf(service)) : replicas,
    edits,
    draft: renderTemplate({ ...seen, inputs, node, forceUpdate }),
    forceUpdate,
  }
}

function machineCheck({ settings, configs, record }: ServicesSeen, vm: VirtualMachine, { service, uid }: Target): MachineCheck {
  const declared = needsOf(declaredMachine(settings.cluster, vm))
  const applied = appliedMachine(service, configs, uid)
  const isApplied = applied === undefined || machineMark(needsOf(applied)) === machineMark(declared)
  return isApplied ? 'accepted' : checkOf(declared, record?.prepared)
}

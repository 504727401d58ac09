import type { Edit } from '../../api/manifest/edits.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { VmUid } from '../../api/names.ts'
import type { RawSpec, SwarmService } from '../../ports/swarm.ts'
import { appliedMachine, checkOf, declaredMachine, launchOf, type MachineCheck, machineMark } from '../shared/applied.ts'
import { nodeIdIn } from '../shared/constraints.ts'
import { forceUpdateOf } from './drift.ts'
import { type Inputs, inputsOf } from './inputs.ts'
import type { ServicesSeen } from './observe.ts'
import { renderTemplate } from './render.ts'
import { editsBetween } from './restart-inputs.ts'

export type Present = Extract<ServicesSeen['declaration'], { kind: 'present' }>

export interface Target {
  readonly service: SwarmService
  readonly uid: VmUid
  readonly node: string | undefined
  readonly replicas: 0 | 1
}

/** The input of every decision about an existing service. */
export interface Context extends Target {
  readonly seen: ServicesSeen
  readonly nowMs: number
  readonly generation: string
  readonly updatePolicy: VirtualMachine['spec']['updatePolicy']
  readonly inputs: Inputs
  /** The node's check of the manifest's accelerator and networks; `accepted` if they are already applied. */
  readonly check: MachineCheck
  /** Differences between the manifest and the running VM; undefined if the running configuration is unknown. */
  readonly edits: readonly Edit[] | undefined
  /** The template that this release renders for the manifest. */
  readonly draft: RawSpec
  /** Counts manual restarts. */
  readonly forceUpdate: number
}

export function contextOf(seen: ServicesSeen, { vm, generation }: Present, target: Target, nowMs: number): Context {
  const { configs, record } = seen
  const { service, uid } = target
  const { cluster, memoryOverheadMiB } = seen.settings
  const launch = launchOf(service, configs)
  const wanted = { cluster, vm, uid, disks: record?.disks ?? launch?.disks.map(({ name }) => name) }
  const inputs = inputsOf(wanted)
  // Without a node nothing is written, see whyUnfit.
  const node = target.node ?? nodeIdIn(service) ?? ''
  const forceUpdate = forceUpdateOf(service)
  const draft = renderTemplate({ ...seen, inputs, node, forceUpdate })
  const edits = launch && editsBetween({ service, launch, memoryOverheadMiB }, wanted)
  const declared = declaredMachine(cluster, vm)
  const applied = appliedMachine(service, configs, uid)
  const isApplied = applied === undefined || machineMark(applied) === machineMark(declared)
  const check = isApplied ? 'accepted' : checkOf(declared, record?.prepared)
  return { seen, nowMs, check, generation, updatePolicy: vm.spec.updatePolicy, inputs, edits, draft, forceUpdate, ...target }
}

import { objectLabels } from '../../api/labels.ts'
import { isUid, placementRecordName, serviceName, type VmName, type VmUid } from '../../api/names.ts'
import { withParent } from '../../api/nic-attachment.ts'
import type { VmStatus } from '../../api/wire/agent-api.ts'
import type { Agents } from '../../ports/agents.ts'
import type { Declaration, Declarations } from '../../ports/declarations.ts'
import type { ClusterSettings } from '../../ports/settings.ts'
import type { Swarm, SwarmNode, SwarmTask } from '../../ports/swarm.ts'
import { appliedMachine, isUserNic, launchIn, nicsOf, type VmNic } from '../shared/applied.ts'
import { type Answer, answerOrNone } from '../shared/answers.ts'
import { readPlacementRecords } from '../shared/placement-record.ts'
import { rendered } from '../shared/rendered-networks.ts'
import { runNotes, type RunWish, runWish } from '../shared/run-wish.ts'
import { suspensionOf } from '../shared/suspension.ts'
import { currentTask, isOfEarlierTemplate, isServiceOf, launchConfigName, ownershipOf } from '../shared/vm-service.ts'
import { type ExpectedAddress, expectedAddresses } from './address.ts'
import { probeBehindNat } from './behind-nat.ts'
import { probeFrom, type Probing } from './probing.ts'

export interface ReachabilityPorts {
  readonly swarm: Pick<Swarm, 'listNodes' | 'listTasks'>
  /** Cached reads are good enough, because this reconciler writes nothing. */
  readonly recent: Pick<Swarm, 'getConfig' | 'getService'>
  readonly agents: Agents
  readonly declarations: Declarations
  readonly settings: Pick<ClusterSettings, 'cluster' | 'networkMode'>
}

export interface ReachabilitySeen {
  readonly vm: VmName
  readonly declaration: Declaration
  readonly uid: VmUid | undefined
  readonly task: SwarmTask | undefined
  /** The task runs a previous template of the service. */
  readonly isPredecessor: boolean
  /** The service exists but is not ours or has another uid, so swarmvirt neither starts nor stops it. */
  readonly isLeftAlone: boolean
  /** Why no changes are made for the VM. */
  readonly suspended: string | undefined
  /** Undefined if the VM is not declared. */
  readonly wish: RunWish | undefined
  /** The node of the task, or else the node in the placement record. */
  readonly node: SwarmNode | undefined
  /** As the guest has them. The first is the primary one: its address is shown and probed. Empty if the VM is not declared. */
  readonly nics: readonly VmNic[]
  /** By network. */
  readonly expected: ReadonlyMap<string, ExpectedAddress>
  /** The inner value is undefined if the node's agent does not know the VM. */
  readonly status: Answer<VmStatus | undefined> | undefined
  readonly probing: Probing
}

/** Probing counts as reading: it only changes ARP caches of neighbors. */
export async function observeReachability(ports: ReachabilityPorts, vm: VmName, signal: AbortSignal): Promise<ReachabilitySeen> {
  const { declarations, settings } = ports
  const declared = declarations.get(vm)
  const nothing = {
    vm,
    declaration: declared,
    uid: undefined,
    task: undefined,
    isPredecessor: false,
    isLeftAlone: false,
    suspended: undefined,
    wish: undefined,
    node: undefined,
    nics: [],
    expected: new Map<string, ExpectedAddress>(),
    status: undefined,
  }
  if (declared.kind !== 'present') return { ...nothing, probing: { kind: 'notYet' } }
  const placed = await observePlace(ports, vm, signal)
  const declaration = rendered(declared, settings, placed.record)
  if (declaration.kind !== 'present') return { ...nothing, probing: { kind: 'notYet' } }
  const { uid, node, task, isPredecessor, isLeftAlone } = placed
  const suspended = suspensionOf(vm, declaration, placed.record)?.message
  const expected = expectedAddresses(declaration.vm, placed.launch)
  const wish = runWish(declaration.vm, runNotes(placed.record?.config.labels, placed.service))
  const known = { vm, declaration, uid, node, task, isPredecessor, isLeftAlone, suspended, wish, expected }
  // An edit of a network applies at a restart: until then the guest has the NICs that it was started with.
  const applied = placed.applied?.nics ?? nicsOf(settings.cluster, declaration.vm, placed.record?.sshPort)
  if (uid === undefined || node === undefined) return { ...nothing, ...known, nics: applied, probing: { kind: 'notYet' } }
  const status = await answerOrNone(ports.agents.on(node.id).vm(uid, signal))
  if (wish.kind === 'off') return { ...known, nics: applied, status, probing: { kind: 'notYet' } }
  const nics = runningNics(applied, status)
  const guest = { uid, node, expected, vm: declaration.vm, task, status: status.known ? status.value : undefined }
  const [nic] = nics
  const probing =
    nic !== undefined && isUserNic(nic)
      ? await probeBehindNat(ports.agents, { ...guest, nic }, placed.nodes, signal)
      : await probeFrom(ports.agents, { ...guest, nic }, placed.nodes, signal)
  return { ...known, nics, status, probing }
}

/** The NICs in the broker's lease are those that the guest really has. */
function runningNics(applied: readonly VmNic[], status: Answer<VmStatus | undefined>): readonly VmNic[] {
  const lease = status.known ? status.value?.lease : undefined
  const held = lease?.held === true ? lease.nics : []
  return applied.map((nic) => {
    if (isUserNic(nic)) return nic
    const real = held.find((one) => one.name === nic.name)
    return real === undefined ? nic : { ...withParent(nic, real.bridge), mac: real.mac }
  })
}

async function observePlace({ swarm, recent }: ReachabilityPorts, vm: VmName, signal: AbortSignal) {
  const config = await recent.getConfig(placementRecordName(vm), signal)
  const [record] = config === undefined ? [] : readPlacementRecords([config])
  const owned = ownershipOf(vm, await recent.getService(serviceName(vm), signal))
  const mine = owned.kind === 'ours' || owned.kind === 'lost' ? owned.service : undefined
  const task = mine === undefined ? undefined : currentTask(await swarm.listTasks({ serviceId: mine.id }, signal))
  const nodes = await swarm.listNodes(signal)
  const named = owned.kind === 'ours' ? owned.uid : (mine?.labels[objectLabels.uid] ?? record?.uid)
  const uid = named !== undefined && isUid(named) ? named : undefined
  const isPredecessor = mine !== undefined && task !== undefined && isOfEarlierTemplate(task, mine)
  const launchName = mine && launchConfigName(mine)
  const launched = launchName === undefined ? undefined : await recent.getConfig(launchName, signal)
  const applied = uid === undefined || launched === undefined ? undefined : appliedMachine(mine, [launched], uid)
  const isLeftAlone = owned.kind !== 'absent' && !isServiceOf(record, owned)
  return {
    uid,
    task,
    isPredecessor,
    isLeftAlone,
    record,
    service: mine,
    nodes,
    applied,
    launch: launched && launchIn(launched.data),
    node: nodes.find((one) => one.id === (task?.nodeId ?? record?.node)),
  }
}

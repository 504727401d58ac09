import { type Condition, type ConditionType, readyRungs } from '../api/conditions.ts'
import type { VmView } from '../api/wire/controller-api.ts'

/** The one reason that stands between a VM and what its manifest wants, and the next thing to type. */
export interface Why {
  readonly ready: boolean
  /** One sentence. */
  readonly sentence: string
  readonly next: string | undefined
}

/** What blocks is the first rung that does not hold: those above it only wait for it. */
export function why(vm: VmView): Why {
  const of = (type: ConditionType): Condition | undefined => vm.conditions.find((one) => one.type === type)
  const suspended = of('Suspended')
  if (suspended !== undefined)
    return { ready: false, sentence: `${vm.name} is suspended: ${suspended.message}.`, next: `docker vm plan ${vm.name}` }
  if (vm.declared === 'removed') return said(vm, 'is being removed', of('ServiceReady') ?? of('Placed'))
  const [valid, stalled, ready] = [of('Valid'), of('Stalled'), of('Ready')]
  if (valid?.status === 'False') return said(vm, 'keeps its last valid state', valid)
  if (vm.phase === 'Halted')
    return { ready: false, sentence: `${vm.name} is off, as its manifest says (runStrategy: Halted).`, next: undefined }
  if (ready?.status === 'True') return pending(vm, of('RestartRequired'))
  if (stalled !== undefined) return said(vm, 'waits for somebody to change something', stalled)
  const rung = readyRungs.map(of).find((one) => one !== undefined && one.status !== 'True')
  return said(vm, 'is not Ready', rung ?? ready)
}

function pending(vm: VmView, restart: Condition | undefined): Why {
  if (restart?.status !== 'True') return { ready: true, sentence: `${vm.name} is Ready.`, next: undefined }
  return { ...said(vm, 'is Ready, and an edit waits for a restart', restart), ready: true }
}

function said(vm: VmView, what: string, one: Condition | undefined): Why {
  if (one === undefined) return { ready: false, sentence: `${vm.name} ${what}: the controller has not looked at it yet.`, next: undefined }
  const message = (one.message.split('\n')[0] ?? '').replace(/[.]?$/, '.')
  const sentence = `${vm.name} ${what}: ${one.type} is ${one.status} (${one.reason})${message === '.' ? '.' : `: ${message}`}`
  return { ready: false, sentence, next: nextStep(one, vm) }
}

/** Of the VM itself, and nothing to do about it. */
const passing: ReadonlySet<string> = new Set(
  [
    'Creating Updating Stopping TaskStarting NoTask TaskEnded TaskReplaced TaskNotRunning NotObserved DeletingDisks',
    'Ordered ImageArriving ProbePending KvmProbing HandOver NotRead NotProbed WaitingForPrevious',
  ].flatMap((line) => line.split(' ')),
)

/** The command that the message names, else by reason, and where a reason says little by condition. There is always something to type. */
function nextStep({ type, reason, message }: Condition, { name, facts }: VmView): string {
  const [, named] = /: (docker [^;]+)$/.exec(message) ?? []
  if (named !== undefined) return named
  if (reason === 'Removing') return `docker vm wait --for delete --timeout 5m ${name}`
  if (passing.has(reason) || reason.startsWith('WaitingFor')) return `docker vm wait --timeout 5m ${name}`
  const onNode = facts['node'] === undefined ? "the VM's node" : facts['node']
  const steps: Readonly<Record<string, string>> = {
    ManifestInvalid: 'docker vm sources',
    SourceUnreadable: 'docker vm sources',
    RemovalWithheld: 'docker vm confirm-removal',
    NoNodeFits: 'docker vm nodes -o wide',
    NodeDown: 'docker node ls',
    NodeDrained: 'docker node update --availability active NODE',
    NodePaused: 'docker node update --availability active NODE',
    AgentUnreachable: 'docker service ps swarmvirt_agent',
    NotCapable: 'docker vm nodes -o wide',
    AcceleratorMissing: 'docker vm nodes -o wide',
    BridgeMissing: "docker vm nodes --format '{{.Name}} {{.Labels}}'",
    NoSlotLeft: 'docker vm nodes',
    InsufficientMemory: 'docker vm nodes',
    InsufficientDisk: 'docker vm nodes',
    DiskNodeUnknown: 'docker node ls',
    TaskPending: `docker service ps --no-trunc vm-${name}`,
    TaskRejected: `docker service ps --no-trunc vm-${name}`,
    TaskFailed: `docker service logs vm-${name}`,
    TaskStuckInNew: 'docker network inspect swarmvirt-guests',
    NameTaken: `docker service inspect vm-${name}; docker config inspect sv-vm-${name}`,
    ForeignUid: `docker service inspect vm-${name}; docker config inspect sv-vm-${name}`,
    OwnershipLost: `docker service inspect vm-${name}; docker config inspect sv-vm-${name}`,
    SeveralDisks: 'docker vm nodes -o wide',
    RunnerUnreachable: `docker service logs vm-${name}`,
    SpecChanged: `docker service update --force vm-${name}`,
    FilterUnavailable: `docker logs swarmvirt-broker   # on ${onNode}`,
    NotHeard: `docker service logs vm-${name}`,
    Retrying: `docker vm events -f ${name}`,
  }
  const byType: Partial<Record<ConditionType, string>> = {
    AssetsReady: `docker vm describe ${name}; the state root of ${onNode} holds images and disks`,
    GuestRunning: `docker service logs vm-${name}`,
    LinkAttached: `docker service logs vm-${name}`,
    AddressLearned: `docker service logs vm-${name}`,
    Reachable: 'docker vm nodes -o wide',
  }
  return (Object.hasOwn(steps, reason) ? steps[reason] : undefined) ?? byType[type] ?? `docker vm describe ${name}`
}

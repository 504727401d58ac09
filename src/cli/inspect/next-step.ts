import type { Condition, ConditionType } from '../../api/conditions.ts'
import type { VmView } from '../../api/wire/controller-api.ts'

/** These reasons resolve automatically. */
const passing: ReadonlySet<string> = new Set(
  [
    'Creating Updating Stopping TaskStarting NoTask TaskEnded TaskReplaced PreviousTask TaskNotRunning NotObserved DeletingDisks',
    'Ordered ImageArriving ImageRetry ProbePending KvmProbing HandOver OtherInstance NotRead NotProbed Absent NotPrepared Starting Booting',
  ].flatMap((line) => line.split(' ')),
)

interface Names {
  readonly vm: string
  readonly node: string
}
type Step = (names: Names) => string

const always =
  (text: string): Step =>
  () =>
    text
const nodes = always('docker vm nodes -o wide')
const sources = always('docker vm sources')
const agentLog = always('docker service logs swarmvirt_agent')
const owner: Step = ({ vm }) => `docker service inspect vm-${vm}; docker config inspect sv-vm-${vm}`
const task: Step = ({ vm }) => `docker service ps --no-trunc vm-${vm}`
const console: Step = ({ vm }) => `docker service logs vm-${vm}`
const disks: Step = ({ vm }) => `docker vm disks --filter vm=${vm}`
const diff: Step = ({ vm }) => `docker vm diff ${vm}`
const broker: Step = ({ node }) => `on ${node}: docker logs swarmvirt-broker`
const activate: Step = ({ node }) => `docker node update --availability active ${node}`
const explain = (path: string): Step => always(`docker vm explain ${path}`)

const byReason: Readonly<Record<string, Step>> = {
  ManifestInvalid: sources,
  SourceUnreadable: sources,
  RemovalWithheld: always('docker vm confirm-removal'),
  NoNodeFits: nodes,
  NodeDown: always('docker node ls'),
  NodeDrained: activate,
  NodePaused: activate,
  AgentUnreachable: always('docker service ps swarmvirt_agent'),
  NotCapable: nodes,
  AcceleratorMissing: nodes,
  KvmUnusable: nodes,
  TcgUnusable: nodes,
  SoftwareEmulationNotAllowed: nodes,
  BridgeMtuTooSmall: explain('spec.networks.mtu'),
  BridgeMissing: always("docker vm nodes --format '{{.Name}} {{.Labels}}'"),
  BrokerOutdated: broker,
  VlanUnavailable: explain('spec.networks.vlan'),
  VlanNotProbed: explain('spec.networks.vlan'),
  AntiSpoofOff: explain('spec.networks.antiSpoof'),
  DeviceNotAllowed: explain('spec.networks.direct'),
  DeviceUnusable: explain('spec.networks.direct'),
  DeviceBusy: explain('spec.networks.direct'),
  DeviceMtuTooSmall: explain('spec.networks.mtu'),
  FirmwareMissing: nodes,
  NoSlotLeft: nodes,
  TooFewCpus: nodes,
  InsufficientMemory: nodes,
  InsufficientDisk: nodes,
  DiskNodeUnknown: always('docker node ls'),
  DiskElsewhere: always('docker node ls'),
  UnidentifiedDisk: always('docker vm disks'),
  IdentityUnreadable: disks,
  IdentityMismatch: disks,
  SeveralDisks: disks,
  DiskMissing: disks,
  TooManyDisks: disks,
  AgentTooOld: nodes,
  ImageMissing: explain('spec.disks.image'),
  ImageRefused: explain('spec.disks.image'),
  ImageSourceUnsupported: explain('spec.disks.image'),
  ImageChecksumMismatch: explain('spec.disks.image'),
  ImageUnavailable: agentLog,
  ImageChangeRefused: diff,
  DiskAddUnsupported: diff,
  DiskResizeUnsupported: diff,
  DiskRenameRefused: diff,
  DiskSmallerThanImage: explain('spec.disks.size'),
  DiskInUse: task,
  DiskError: agentLog,
  StateRootError: agentLog,
  LayoutMissing: agentLog,
  LayoutUnsupported: agentLog,
  BrokerUnavailable: broker,
  BrokerUnreachable: broker,
  FilterUnavailable: broker,
  UserNetworkMissing: broker,
  UserNetworkUnfiltered: broker,
  PortNotForwarded: console,
  NoNodeAddress: always('docker node ls'),
  PortTaken: explain('spec.networks.user'),
  UserModeForced: explain('spec.networks.fallback'),
  PingBehindNat: explain('spec.readiness'),
  NotForwarded: explain('spec.networks.user'),
  BridgeNotAllowed: broker,
  MacNotAllowed: broker,
  TooManyGrants: broker,
  MacTaken: always('docker vm ls -o wide'),
  TaskPending: task,
  TaskRejected: task,
  TaskFailed: console,
  TaskStuckInNew: always('docker network inspect swarmvirt-guests'),
  NameTaken: owner,
  ForeignUid: owner,
  OwnershipLost: owner,
  StandingBy: always('docker service ls --filter label=swarmvirt.component=controller'),
  RunnerUnreachable: console,
  DiskFull: always('docker vm disks'),
  SpecChanged: ({ vm }) => `docker service update --force vm-${vm}`,
  UnexpectedAddress: explain('spec.networks.address'),
  AddressTakenByAnother: always('docker vm ls -o wide'),
  NoOtherNode: always('docker node ls'),
  NoAddressOnBridge: explain('spec.readiness'),
  PortMissing: explain('spec.readiness'),
  AgentOutdated: always('docker service ps swarmvirt_agent'),
  Retrying: ({ vm }) => `docker vm events -f ${vm}`,
}

/** For reasons that are not specific enough. */
const byType: Partial<Record<ConditionType, Step>> = {
  AssetsReady: agentLog,
  GuestRunning: console,
  LinkAttached: console,
  AddressLearned: console,
  Reachable: nodes,
  GuestReady: console,
}

/** The command in the message, or else a command for the reason or the condition type. */
export function nextStep({ type, reason, message }: Condition, { name, facts }: Pick<VmView, 'name' | 'facts'>): string {
  const [, named] = /: (docker [^;]+)$/.exec(message) ?? []
  if (named !== undefined) return named
  if (reason === 'Removing') return `docker vm wait --for delete --timeout 5m ${name}`
  if (passing.has(reason) || reason.startsWith('WaitingFor')) return `docker vm wait --timeout 5m ${name}`
  const step = (Object.hasOwn(byReason, reason) ? byReason[reason] : undefined) ?? byType[type]
  return step?.({ vm: name, node: facts['node'] ?? 'NODE' }) ?? `docker vm describe ${name}`
}

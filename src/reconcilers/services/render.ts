import { hashVersion, objectLabels } from '../../api/labels.ts'
import { inRunner, layout, runnerUid, sharedGid } from '../../api/layout.ts'
import { memoryOverheadBytes } from '../../api/memory-overhead.ts'
import type { VmName, VmUid } from '../../api/names.ts'
import type { ForwardedPort } from '../../api/wire/launch.ts'
import type { Labels, RawSpec } from '../../ports/swarm.ts'
import { placementConstraints } from '../shared/constraints.ts'
import { vmObjectLabels } from '../shared/vm-objects.ts'
import { rawObject } from '../shared/raw.ts'
import type { Inputs } from './inputs.ts'
import type { ServicesSeen } from './observe.ts'
import { templateHashOf } from './projection.ts'
import runnerSeccomp from './runner-seccomp.json' with { type: 'json' }

/**
 * The heap is small because the task's memory limit covers both runner and guest. `setpriv` sets no-new-privileges on every Engine: Swarm's
 * own field needs Engine 25 on all managers, and older ones drop it silently.
 */
const runnerCommand = [
  'setpriv',
  '--no-new-privs',
  'node',
  '--max-old-space-size=64',
  '--max-semi-space-size=1',
  '/opt/swarmvirt/runner.cjs',
] as const
/**
 * Processes and threads of a task. QEMU has one for each virtual CPU (at most 256) and up to 64 in its main pool. Each of at most 16 disks has an
 * I/O thread with a pool of 8 (runner/devices/disks.ts), which makes 144. Node, init and swtpm need about 24.
 */
const pidsLimit = 512
/** The task's log includes the guest's serial console: 30 MB hold weeks of an ordinary guest. */
const logDriver = { Name: 'json-file', Options: { 'max-size': '10m', 'max-file': '3' } } as const

const nanosecondsPerSecond = 1_000_000_000
const nanoCpus = 1_000_000_000
/** Enough for the sockets and a seed with 256 KiB of user data. */
const scratchBytes = 64 * 1024 ** 2
/** The API version of Engine 25, the first with `Privileges.NoNewPrivileges` and `Privileges.Seccomp` for services. */
const hardeningApi = 44
/** The profile allows the system calls of Node, QEMU and swtpm, and of the container runtime before they start (ADR 0045). */
const privileges = {
  NoNewPrivileges: true,
  Seccomp: { Mode: 'custom', Profile: Buffer.from(JSON.stringify(runnerSeccomp)).toString('base64') },
} as const

export interface RenderInput extends Pick<ServicesSeen, 'vm' | 'settings' | 'apiVersion'> {
  readonly inputs: Inputs
  /** Swarm node ID. */
  readonly node: string
  /** Carried over, because it counts manual restarts. */
  readonly forceUpdate: number
}

/**
 * The task template of a VM (Engine API, TaskSpec): no capabilities, devices or host network, a read-only root and a non-root user.
 * Changing any field here restarts the VM, so it is only written when the VM restarts anyway. It names its config and secret;
 * their IDs are filled in when it is written (apply.ts).
 */
export function renderTemplate(input: RenderInput): RawSpec {
  const { inputs, settings, vm } = input
  const memoryBytes = inputs.memoryBytes + memoryOverheadBytes(inputs.shape, settings)
  const cpuLimit = inputs.cpuLimit === undefined ? {} : { NanoCPUs: Math.round(inputs.cpuLimit * nanoCpus) }
  return {
    ContainerSpec: containerSpec(input),
    Resources: { Limits: { ...cpuLimit, MemoryBytes: memoryBytes, Pids: pidsLimit }, Reservations: { MemoryBytes: memoryBytes } },
    // Swarm always restarts after a second. The runner does the backoff after crashes, which can then change without a new template.
    RestartPolicy: { Condition: 'any', Delay: nanosecondsPerSecond },
    Placement: { Constraints: placementConstraints(input.node), MaxReplicas: 1 },
    Networks: [{ Target: settings.guestsNetwork, Aliases: [vm] }, ...(inputs.userNetwork ? [{ Target: settings.userNetwork }] : [])],
    LogDriver: logDriver,
    ForceUpdate: input.forceUpdate,
  }
}

function containerSpec({ inputs, settings, apiVersion }: RenderInput): RawSpec {
  return {
    Image: settings.runnerImage,
    Command: runnerCommand,
    User: `${runnerUid}:${sharedGid}`,
    ReadOnly: true,
    CapabilityDrop: ['ALL'],
    // Engines before 26.0 resolve unknown names through the host's network, even for a task on an internal overlay. NAT needs names.
    ...(inputs.userNetwork ? {} : { DNSConfig: { Nameservers: ['127.0.0.1'] } }),
    ...(minorOf(apiVersion) >= hardeningApi ? { Privileges: privileges } : {}),
    // As PID 1, Node would ignore a SIGTERM that arrives before its handler is set: the VM would start and then be killed.
    Init: true,
    StopSignal: 'SIGTERM',
    StopGracePeriod: inputs.stopGraceS * nanosecondsPerSecond,
    Mounts: mounts(settings.stateRoot, inputs.uid),
    Configs: [{ ConfigName: inputs.launchName, File: file(inRunner.launchConfig) }],
    Secrets: inputs.secrets.map((one) => ({ SecretName: one.name, File: file(one.file) })),
  }
}

/**
 * In the order in which every `docker service update` sorts them (by source, then target; seen with 28.2). In any other order, adding a
 * label with the CLI would change the template and restart the VM.
 */
function mounts(stateRoot: string, uid: VmUid): readonly RawSpec[] {
  const paths = layout(stateRoot)
  return [
    // Mode 1777: with a narrower mode only root can use the tmpfs.
    { Type: 'tmpfs', Target: inRunner.scratch, TmpfsOptions: { SizeBytes: scratchBytes, Mode: 0o1777 } },
    { Type: 'bind', Source: paths.instance(uid), Target: inRunner.vm },
    { Type: 'bind', Source: paths.socketDirectory(uid), Target: '/broker', ReadOnly: true },
  ]
}

function file(name: string): RawSpec {
  return { Name: name, UID: String(runnerUid), GID: String(sharedGid), Mode: 0o400 }
}

/** The minor version, such as 44 of `1.44`; the Engine API only has major version 1. */
function minorOf(apiVersion: string): number {
  return Number(apiVersion.split('.')[1] ?? 0)
}

/** `templateHashOf` a service with this template. */
export function renderedHash(template: RawSpec, ports: readonly ForwardedPort[] = []): string {
  return templateHashOf({ TaskTemplate: template, EndpointSpec: endpointOf(ports) })
}

/** A VIP would waste an address of the overlay. Ports of the node work without one. */
function endpointOf(ports: readonly ForwardedPort[]): RawSpec {
  const published = ports.flatMap(({ guest, published: port, protocol }) =>
    port === undefined ? [] : [{ Protocol: protocol, TargetPort: guest, PublishedPort: port, PublishMode: 'host' }],
  )
  return { Mode: 'dnsrr', ...(published.length === 0 ? {} : { Ports: published }) }
}

/**
 * The service spec outside the template, where only a change of `EndpointSpec` replaces the task (test/contract/swarm-facts). Stops the old
 * task first, because both use the same disk.
 */
export function surroundings(replicas: number, ports: readonly ForwardedPort[] = []): RawSpec {
  return {
    Mode: { Replicated: { Replicas: replicas } },
    UpdateConfig: { Parallelism: 1, FailureAction: 'pause', Order: 'stop-first' },
    RollbackConfig: { Parallelism: 1, FailureAction: 'pause', Order: 'stop-first' },
    EndpointSpec: endpointOf(ports),
  }
}

/** Keeps the restart policy that the service was created with, and its grace period unless the manifest needs a longer one. */
export function keepLifecycle(template: RawSpec, actual: unknown): RawSpec {
  const held = rawObject(actual)
  const container = rawObject(held['ContainerSpec'])
  const written = rawObject(template['ContainerSpec'])
  const grace = longer(container['StopGracePeriod'], written['StopGracePeriod'])
  return {
    ...template,
    ...(held['RestartPolicy'] === undefined ? {} : { RestartPolicy: held['RestartPolicy'] }),
    ContainerSpec: { ...written, ...(grace === undefined ? {} : { StopGracePeriod: grace }) },
  }
}

function longer(held: unknown, wanted: unknown): unknown {
  return typeof held === 'number' && typeof wanted === 'number' ? Math.max(held, wanted) : held
}

interface ServiceNotes {
  readonly node: string | undefined
  readonly generation: string
  readonly applied: string
  readonly desired: string
  readonly template: string
  readonly drift: string | undefined
  readonly forceUpdate: number
}

/** All swarmvirt labels of a VM's service. */
export function serviceLabels(of: { readonly cluster: string; readonly vm: VmName; readonly uid: VmUid }, notes: ServiceNotes): Labels {
  return {
    ...vmObjectLabels('vm', of),
    ...(notes.node === undefined ? {} : { [objectLabels.node]: notes.node }),
    [objectLabels.generation]: notes.generation,
    [objectLabels.appliedHash]: notes.applied,
    [objectLabels.desiredHash]: notes.desired,
    [objectLabels.templateHash]: notes.template,
    ...(notes.drift === undefined ? {} : { [objectLabels.driftHash]: notes.drift }),
    [objectLabels.hashVersion]: hashVersion,
    [objectLabels.forceUpdate]: String(notes.forceUpdate),
  }
}

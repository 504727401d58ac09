import { inRunner, layout, runnerUid, sharedGid } from '../../api/layout.ts'
import type { VmName } from '../../api/names.ts'
import type { RawSpec } from '../../ports/swarm.ts'
import { placementConstraints } from '../shared/constraints.ts'
import { rawObject } from '../shared/raw.ts'
import { type Inputs, stopGraceS } from './inputs.ts'
import type { ServicesSettings } from './observe.ts'

/**
 * A small heap, since the runner's memory is counted beside the guest's. `setpriv` sets no-new-privileges on every engine: Swarm's own field
 * needs Engine 25 on all managers and is dropped silently before.
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
 * Processes and threads of a task. QEMU has one for each core (at most 256) and up to 64 for disk I/O; Node and init need about 20.
 * The rest is room for helpers.
 */
const pidsLimit = 512
/** A guest's serial console is part of the task's log: 30 MB hold weeks of an ordinary guest. */
const logDriver = { Name: 'json-file', Options: { 'max-size': '10m', 'max-file': '3' } } as const

const nanosecondsPerSecond = 1_000_000_000
/** Enough for a seed with 256 KiB of user data, and the sockets. */
const scratchBytes = 64 * 1024 ** 2
/** `Privileges.NoNewPrivileges` of a service came with Engine 25. */
const hardeningApi = 44

/** The ids of the config and secret by name; a service refers to both by id. */
export interface ObjectIds {
  readonly launch: string
  readonly userData: string | undefined
}

export interface RenderInput {
  readonly vm: VmName
  readonly settings: ServicesSettings
  readonly apiVersion: string
  readonly inputs: Inputs
  /** Swarm node ID. */
  readonly node: string
  readonly ids: ObjectIds
  /** Carried over, as it counts restarts by hand. */
  readonly forceUpdate: number
}

/**
 * The task template of a VM (Engine API, TaskSpec): no capability, no device, no host network, a read-only root and a user that is not root.
 * Every field here restarts the VM when it is written with another value (LAB.md), so it is only written when the VM restarts anyway.
 */
export function renderTemplate(input: RenderInput): RawSpec {
  const { inputs, settings, vm } = input
  const memoryBytes = inputs.memoryBytes + settings.memoryOverheadMiB * 1024 ** 2
  return {
    ContainerSpec: containerSpec(input),
    Resources: { Limits: { MemoryBytes: memoryBytes, Pids: pidsLimit }, Reservations: { MemoryBytes: memoryBytes } },
    // Swarm restarts after a second, always; backing off after crashes is the runner's, who can change it without changing the template.
    RestartPolicy: { Condition: 'any', Delay: nanosecondsPerSecond },
    Placement: { Constraints: placementConstraints(input.node), MaxReplicas: 1 },
    Networks: [{ Target: settings.guestsNetwork, Aliases: [vm] }],
    LogDriver: logDriver,
    ForceUpdate: input.forceUpdate,
  }
}

function containerSpec({ inputs, ids, settings, apiVersion }: RenderInput): RawSpec {
  return {
    Image: settings.runnerImage,
    Command: runnerCommand,
    User: `${runnerUid}:${sharedGid}`,
    ReadOnly: true,
    CapabilityDrop: ['ALL'],
    // Engines before 26.0 forward names that they do not know from the host's own network, also for a task on an internal overlay.
    DNSConfig: { Nameservers: ['127.0.0.1'] },
    ...(minorOf(apiVersion) >= hardeningApi ? { Privileges: { NoNewPrivileges: true } } : {}),
    // As process 1 Node would never hear a SIGTERM that comes before its handler stands: the VM would start and then be cut off.
    Init: true,
    StopSignal: 'SIGTERM',
    StopGracePeriod: stopGraceS * nanosecondsPerSecond,
    Mounts: mounts(settings.stateRoot, inputs.uid),
    Configs: [{ ConfigID: ids.launch, ConfigName: inputs.launchName, File: file(inRunner.launchConfig) }],
    Secrets:
      inputs.userData === undefined || ids.userData === undefined
        ? []
        : [{ SecretID: ids.userData, SecretName: inputs.userData.name, File: file('userdata') }],
  }
}

/**
 * In the order in which the docker CLI sorts them at *every* `docker service update` (by source, then target; seen with 28.2): in another
 * order adding a mere label by hand would change the template and restart the VM.
 */
function mounts(stateRoot: string, uid: string): readonly RawSpec[] {
  const paths = layout(stateRoot)
  return [
    // 1777: a tmpfs of a narrower mode is root's (LAB.md). Docker takes the octal digits of the number.
    { Type: 'tmpfs', Target: inRunner.scratch, TmpfsOptions: { SizeBytes: scratchBytes, Mode: 0o1777 } },
    { Type: 'bind', Source: paths.instance(uid), Target: inRunner.vm },
    { Type: 'bind', Source: paths.socketDirectory(uid), Target: '/broker', ReadOnly: true },
  ]
}

function file(name: string): RawSpec {
  return { Name: name, UID: String(runnerUid), GID: String(sharedGid), Mode: 0o400 }
}

/** `1.44` is 44; there is only major version 1 (Engine API). */
function minorOf(apiVersion: string): number {
  return Number(apiVersion.split('.')[1] ?? 0)
}

/** What surrounds the template: of it only another `EndpointSpec` starts another task (test/contract/swarm-facts). */
export function renderSpec(name: string, labels: RawSpec, replicas: number, template: RawSpec): RawSpec {
  return { Name: name, Labels: labels, TaskTemplate: template, ...surroundings(replicas) }
}

/** One at a time, the old one first; a VIP would take an address of the overlay for nothing. */
export function surroundings(replicas: number): RawSpec {
  return {
    Mode: { Replicated: { Replicas: replicas } },
    UpdateConfig: { Parallelism: 1, FailureAction: 'pause', Order: 'stop-first' },
    RollbackConfig: { Parallelism: 1, FailureAction: 'pause', Order: 'stop-first' },
    EndpointSpec: { Mode: 'dnsrr' },
  }
}

/** Restart policy and grace period are chosen when a service is made and stay, while nobody else touched them. */
export function keepLifecycle(template: RawSpec, actual: unknown): RawSpec {
  const held = rawObject(actual)
  const container = rawObject(held['ContainerSpec'])
  const grace = container['StopGracePeriod']
  return {
    ...template,
    ...(held['RestartPolicy'] === undefined ? {} : { RestartPolicy: held['RestartPolicy'] }),
    ContainerSpec: { ...rawObject(template['ContainerSpec']), ...(grace === undefined ? {} : { StopGracePeriod: grace }) },
  }
}

import { expect } from 'vitest'
import { objectLabels } from '../../../src/api/labels.ts'
import { PortError, type PortErrorKind } from '../../../src/ports/errors.ts'
import type { RawSpec, Swarm, SwarmEvent, SwarmNode, SwarmService, SwarmTask } from '../../../src/ports/swarm.ts'
import { rawObject } from '../../../src/reconcilers/shared/raw.ts'
import { aUid } from '../../support/branded.ts'

/** A Swarm of three nodes that facts are asked of, and the little that the port cannot do. */
export interface Rig {
  readonly swarm: Swarm
  /** Every name made here begins with it: a real Swarm keeps what an earlier run left. */
  readonly prefix: string
  /** A background run, until it is stopped. */
  readonly container: RawSpec
  /** A program that only ends when it is killed, two seconds later. */
  readonly stubborn: RawSpec
  /** Names of two overlay networks. */
  readonly networks: readonly [string, string]
  /** The containers of tasks are facts of their own here. */
  readonly hasContainers: boolean
  isUp(task: SwarmTask): Promise<boolean>
  /** Hears events until `stop`. */
  listen(): Promise<{ readonly heard: readonly SwarmEvent[]; stop(): Promise<void> }>
  /** Takes a node out of the Swarm for good, and gives its id. */
  remove(hostname: string): Promise<string>
  /** Lets time pass in which managers do what they do by themselves. */
  quiet(): Promise<void>
  until<Value>(what: string, read: () => Promise<Value | undefined>): Promise<Value>
}

export interface Fact {
  readonly name: string
  readonly holds: (rig: Rig) => Promise<void>
  /** It is about what becomes of containers. */
  readonly ofContainers?: true
  /** The simulated containers do not do this. */
  readonly ofRealContainers?: true
}

/** Every created object gets this label, and the rig removes it at the end. */
export const factsLabel = 'swarmvirt-facts'

export function labelsOf({ prefix }: Rig): Record<string, string> {
  // The simulated nodes have a directory for the VM of this uid.
  return { [factsLabel]: prefix, [objectLabels.uid]: factsUid }
}
export const factsUid = aUid('00000000-0000-4000-8000-00000000fac7')

export type Template = { readonly ContainerSpec: RawSpec } & RawSpec

/** A service whose one task stays pending: no node has the label. */
export function aSpec(rig: Rig, name: string, template: RawSpec = {}, rest: RawSpec = {}): RawSpec & { readonly TaskTemplate: Template } {
  return {
    Name: `${rig.prefix}-${name}`,
    Labels: labelsOf(rig),
    TaskTemplate: {
      RestartPolicy: { Condition: 'any', Delay: 500_000_000 },
      Placement: { Constraints: [`node.labels.${rig.prefix}-nowhere==true`] },
      ...template,
      ContainerSpec: { ...rig.container, ...rawObject(template['ContainerSpec']) },
    },
    Mode: { Replicated: { Replicas: 1 } },
    EndpointSpec: { Mode: 'dnsrr' },
    ...rest,
  }
}

export async function aService(rig: Rig, spec: RawSpec): Promise<SwarmService> {
  return must(await rig.swarm.getService(await rig.swarm.createService(spec)))
}

/** Reads the service and writes it with the change. */
export async function change(rig: Rig, id: string, edit: (spec: Edited) => void): Promise<SwarmService> {
  const service = must(await rig.swarm.getService(id))
  const spec = editable(service.spec)
  edit(spec)
  await rig.swarm.updateService(id, service.version, { ...spec })
  return must(await rig.swarm.getService(id))
}

type Loose = Record<string, unknown>

/** A copy of a service's spec that may be changed. */
export interface Edited {
  Name: string
  Labels: Record<string, string>
  Mode: { Replicated: { Replicas: number } } | { Global: object }
  TaskTemplate: EditedTemplate
  UpdateConfig?: Loose
  RollbackConfig?: Loose
  EndpointSpec?: Loose
}
interface EditedTemplate {
  ContainerSpec: Loose
  RestartPolicy: Loose
  Resources: Record<'Limits' | 'Reservations', { MemoryBytes: number; Pids?: number; NanoCPUs?: number }>
  Placement: { Constraints: string[] } & Loose
  Networks: { Target: string; Aliases: string[] }[]
  ForceUpdate: number
  LogDriver?: Loose
  Runtime?: string
}

export function editable(spec: RawSpec): Edited {
  return structuredClone(spec) as unknown as Edited
}

export function toReplicas(replicas: number): (spec: Edited) => void {
  return (spec) => void (spec.Mode = { Replicated: { Replicas: replicas } })
}

export async function nodeNamed(rig: Rig, hostname: string): Promise<SwarmNode> {
  return must((await rig.swarm.listNodes()).find((one) => one.hostname === hostname))
}

/** Writes a node's labels, and its availability where one is named. */
export async function setNode(rig: Rig, hostname: string, labels: Record<string, string>, availability?: string): Promise<void> {
  const node = await nodeNamed(rig, hostname)
  const spec = availability === undefined ? node.spec : { ...node.spec, Availability: availability }
  await rig.swarm.updateNodeLabels({ ...node, spec }, labels)
}

export function tasksOf(rig: Rig, serviceId: string): Promise<readonly SwarmTask[]> {
  return rig.swarm.listTasks({ serviceId })
}

export function untilTask(rig: Rig, serviceId: string, state: string, others: readonly string[] = []): Promise<SwarmTask> {
  return rig.until(`a task that is ${state}`, async () =>
    (await tasksOf(rig, serviceId)).find((one) => one.state === state && one.desiredState !== 'ready' && !others.includes(one.id)),
  )
}

/** The refusal's kind and what dockerd says, without the call that it answered. */
export async function refusalOf(call: Promise<unknown>): Promise<readonly [PortErrorKind, string] | 'accepted'> {
  try {
    await call
    return 'accepted'
  } catch (error) {
    if (!(error instanceof PortError)) throw error
    return [error.kind, error.message.replace(/^(simulated|(GET|POST|DELETE) \S+): /, '')]
  }
}

export async function expectRefusal(call: Promise<unknown>, kind: PortErrorKind, text: string): Promise<void> {
  expect(await refusalOf(call)).toEqual([kind, text])
}

export function must<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('it is not there')
  return value
}

import { canonicalJson, hashOf } from '../../api/hash.ts'
import type { RawSpec } from '../../ports/swarm.ts'
import { dense, dig, rawList, rawObject, rawString } from '../shared/raw.ts'

/**
 * Hashes the fields of a service's template and endpoint that a user can change. Only fields listed here count, because a field that a new
 * Engine adds must restart nothing. Empty, zero and false values and Docker's defaults count as absent.
 *
 * Left out on purpose: `ForceUpdate` (compared separately), `Runtime`, ids (names suffice), network targets (written by name, stored by id)
 * and `Privileges` (an old leader drops it silently).
 */
export function templateHashOf(spec: RawSpec): string {
  return hashOf(projectionOf(spec))
}

/** The user, capabilities and mounts of a template: what it can access. A difference here is never accepted as ours. */
export function hardeningOf(template: unknown): string {
  const container = rawObject(dig(template, 'ContainerSpec'))
  const { User, Groups, CapabilityAdd, Sysctls } = container
  const mounts = unordered(rawList(container['Mounts']).map((one) => [dig(one, 'Type'), dig(one, 'Source'), dig(one, 'Target')]))
  return canonicalJson(dense({ User, Groups, CapabilityAdd, Sysctls, mounts }) ?? null)
}

/** The input of `templateHashOf`. */
export function projectionOf({ TaskTemplate, EndpointSpec }: RawSpec): RawSpec {
  return rawObject(dense({ ...projectTask(TaskTemplate), endpointMode: dig(EndpointSpec, 'Mode'), ports: dig(EndpointSpec, 'Ports') }))
}

const containerFields = [
  'Command',
  'Args',
  'Env',
  'Dir',
  'User',
  'Groups',
  'Hostname',
  'Labels',
  'TTY',
  'OpenStdin',
  'ReadOnly',
  'Hosts',
  'DNSConfig',
  'Sysctls',
  'Ulimits',
  'CapabilityAdd',
  'CapabilityDrop',
  'Init',
  'StopSignal',
  'Healthcheck',
  'StopGracePeriod',
  'OomScoreAdj',
] as const

function projectTask(template: unknown): RawSpec {
  const container = rawObject(dig(template, 'ContainerSpec'))
  return {
    image: withoutDigest(rawString(container['Image']) ?? ''),
    container: Object.fromEntries(containerFields.map((field) => [field, container[field]])),
    mounts: unordered(rawList(container['Mounts']).map(projectMount)),
    configs: unordered(rawList(container['Configs']).map((one) => ({ name: dig(one, 'ConfigName'), file: dig(one, 'File') }))),
    secrets: unordered(rawList(container['Secrets']).map((one) => ({ name: dig(one, 'SecretName'), file: dig(one, 'File') }))),
    limits: projectResources(dig(template, 'Resources', 'Limits')),
    reservations: projectResources(dig(template, 'Resources', 'Reservations')),
    restart: projectRestart(dig(template, 'RestartPolicy')),
    constraints: unordered(rawList(dig(template, 'Placement', 'Constraints')).map(withoutSpaces)),
    preferences: dig(template, 'Placement', 'Preferences'),
    maxReplicas: dig(template, 'Placement', 'MaxReplicas'),
    networks: rawList(dig(template, 'Networks')).map((one) => ({ aliases: dig(one, 'Aliases'), driverOpts: dig(one, 'DriverOpts') })),
    logDriver: dig(template, 'LogDriver'),
  }
}

function projectMount(mount: unknown): RawSpec {
  const { Type, Source, Target, ReadOnly, VolumeOptions, TmpfsOptions } = rawObject(mount)
  const propagation = dig(mount, 'BindOptions', 'Propagation')
  return { Type, Source, Target, ReadOnly, VolumeOptions, TmpfsOptions, propagation: propagation === 'rprivate' ? undefined : propagation }
}

function projectResources(resources: unknown): RawSpec {
  const { NanoCPUs, MemoryBytes, Pids, GenericResources } = rawObject(resources)
  return { NanoCPUs, MemoryBytes, Pids, GenericResources }
}

/** `any` is Docker's own default; attempts and window are unlimited when zero. */
function projectRestart(policy: unknown): RawSpec {
  const { Condition, Delay, MaxAttempts, Window } = rawObject(policy)
  return { Condition: Condition === 'any' ? undefined : Condition, Delay, MaxAttempts, Window }
}

/** The docker CLI sorts lists whose order has no meaning. */
function unordered(list: readonly unknown[]): readonly unknown[] {
  return list.map((one) => canonicalJson(dense(one) ?? null)).toSorted()
}

/** Ignores the digest that the docker CLI adds: the tag that the user wrote is the same. */
function withoutDigest(image: string): string {
  const at = image.indexOf('@sha256:')
  return at > 0 ? image.slice(0, at) : image
}

function withoutSpaces(constraint: unknown): unknown {
  return typeof constraint === 'string' ? constraint.replace(/\s+/g, '') : constraint
}

import { canonicalJson } from '../../src/api/hash.ts'
import { portErrorOf } from '../../src/adapters/docker/errors.ts'
import type { PortError } from '../../src/ports/errors.ts'
import type { RawSpec, SwarmNode } from '../../src/ports/swarm.ts'
import { dig, rawList, rawObject, rawString } from '../../src/reconcilers/shared/raw.ts'

/** The spec that dockerd stores: defaults filled in, empty lists left out, the network's name replaced by its id. */
export function stored(spec: RawSpec): RawSpec {
  const copy = structuredClone(spec)
  const template = rawObject(copy['TaskTemplate'])
  const networks = rawList(template['Networks']).map((one) => ({ ...rawObject(one), Target: networkId(dig(one, 'Target')) }))
  const { RestartPolicy, Placement } = template
  return {
    ...copy,
    Labels: copy['Labels'] ?? {},
    TaskTemplate: {
      ...template,
      ContainerSpec: { Isolation: 'default', ...withoutEmpty(rawObject(template['ContainerSpec'])) },
      ...(networks.length > 0 ? { Networks: networks } : {}),
      ...(RestartPolicy === undefined ? {} : { RestartPolicy: { MaxAttempts: 0, ...rawObject(RestartPolicy) } }),
      Placement: { ...rawObject(Placement) },
      ForceUpdate: template['ForceUpdate'] ?? 0,
      Runtime: 'container',
    },
    ...updatePolicy(copy, 'UpdateConfig'),
    ...updatePolicy(copy, 'RollbackConfig'),
  }
}

function updatePolicy(spec: RawSpec, key: string): RawSpec {
  return spec[key] === undefined ? {} : { [key]: { MaxFailureRatio: 0, ...rawObject(spec[key]) } }
}

/** `Init: false` is another thing than none. */
function withoutEmpty(container: RawSpec): RawSpec {
  const isKept = ([key, value]: readonly [string, unknown]): boolean =>
    Array.isArray(value) ? value.length > 0 : value !== false || key === 'Init'
  return Object.fromEntries(Object.entries(container).filter(isKept))
}

const networkIds = 'id-of-'

function networkId(target: unknown): string {
  return `${networkIds}${networkName(target)}`
}

function networkName(target: unknown): string {
  return String(target).replace(new RegExp(`^${networkIds}`), '')
}

/**
 * The part of a template by which tasks are compared: another one starts another task. Constraints do not count while the task's node
 * matches them.
 */
export function templateOf(spec: RawSpec): string {
  const known = templates.get(spec)
  if (known !== undefined) return known
  const template = readTemplate(spec)
  templates.set(spec, template)
  return template
}

export function constraintsOf(spec: RawSpec): readonly string[] {
  return rawList(dig(spec, 'TaskTemplate', 'Placement', 'Constraints')).map(String)
}

/** Specs are replaced and never changed, and every settling asks for all of them. */
const templates = new WeakMap<RawSpec, string>()

function readTemplate(spec: RawSpec): string {
  const { Placement, ...template } = rawObject(spec['TaskTemplate'])
  const { Constraints: _constraints, ...placement } = rawObject(Placement)
  return canonicalJson({ ...template, placement, endpoint: spec['EndpointSpec'] })
}

export function replicasOf(spec: RawSpec): number {
  const replicas = dig(spec, 'Mode', 'Replicated', 'Replicas')
  return typeof replicas === 'number' ? replicas : 0
}

/** `node.id`, `node.hostname` and `node.labels.X`, `==` and `!=`, values without case. */
export function matches(spec: RawSpec, node: SwarmNode): boolean {
  return constraintsOf(spec).every((text) => {
    const [, key, operator, value] = /^\s*node\.(\S+?)\s*(==|!=)\s*(.*?)\s*$/.exec(text) ?? []
    const actual = key === undefined ? undefined : valueOf(node, key)
    return actual === undefined || (actual.toLowerCase() === value?.toLowerCase()) === (operator === '==')
  })
}

function valueOf({ id, hostname, labels }: SwarmNode, key: string): string | undefined {
  const prefix = 'labels.'
  if (key.startsWith(prefix)) return labels[key.slice(prefix.length)] ?? ''
  return key === 'id' ? id : key === 'hostname' ? hostname : undefined
}

type Named = ReadonlyMap<string, { readonly name: string }>

export interface Referable {
  readonly configs: Named
  readonly secrets: Named
  readonly networks: ReadonlySet<string>
}

/** The errors of a manager for a service's spec: names, invalid constraints, and references to missing objects. */
export function judgeSpec(spec: RawSpec, { configs, secrets, networks }: Referable): void {
  judgeServiceName(String(spec['Name']))
  const container = dig(spec, 'TaskTemplate', 'ContainerSpec')
  if (rawString(dig(container, 'Image')) === undefined) throw invalid('ContainerSpec: image reference must be provided')
  const targets = rawList(dig(spec, 'TaskTemplate', 'Networks')).map((one) => networkName(dig(one, 'Target')))
  const unknown = targets.find((one) => !networks.has(one))
  if (unknown !== undefined) throw refusal(400, `network ${unknown} not found`)
  constraintsOf(spec).forEach(judgeConstraint)
  for (const one of rawList(dig(container, 'Configs'))) judgeReference('config', configs, dig(one, 'ConfigID'), dig(one, 'ConfigName'))
  for (const one of rawList(dig(container, 'Secrets'))) judgeReference('secret', secrets, dig(one, 'SecretID'), dig(one, 'SecretName'))
}

function judgeServiceName(name: string): void {
  if (!/^[a-zA-Z0-9]+(?:[a-zA-Z0-9-_]*?[a-zA-Z0-9])?$/.test(name)) throw invalid('name must be valid as a DNS name component')
  if (name.length > 63) throw invalid('name must be 63 characters or fewer')
}

function judgeConstraint(constraint: string): void {
  const [, key] = /^(.*?)(==|!=)/.exec(constraint) ?? []
  if (key === undefined) throw refusal(500, 'rpc error: code = Unknown desc = constraint expected one operator from ==, !=')
  if (!/^[a-z_][a-z0-9\-_.]+$/i.test(key.trim())) throw refusal(500, `rpc error: code = Unknown desc = key '${key.trim()}' is invalid`)
}

function judgeReference(what: 'config' | 'secret', objects: Named, givenId: unknown, givenName: unknown): void {
  const [id, name] = [rawString(givenId), rawString(givenName)]
  if (id === undefined || name === undefined) throw invalid(`malformed ${what} reference`)
  if (objects.get(id)?.name !== name) throw invalid(`${what} not found: ${name}`)
}

const sizeLimits = { config: 1_024_000, secret: 512_000 } as const

/** The errors of a manager for a config or secret, which come before the check of the name. */
export function judgeContent(what: 'config' | 'secret', name: string, data: Uint8Array): void {
  if (name === '') throw invalid('name must be provided')
  if (!/^[a-zA-Z0-9]+(?:[a-zA-Z0-9-_.]*[a-zA-Z0-9])?$/.test(name) || name.length > 64)
    throw invalid(`invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]`)
  const limit = sizeLimits[what]
  if (data.length === 0 || data.length >= limit) throw invalid(`${what} data must be larger than 0 and less than ${limit} bytes`)
}

/** A node's spec is sent whole. */
export function judgeNode(spec: RawSpec): void {
  const { Role, Availability } = spec
  if (Role !== 'manager' && Role !== 'worker') throw refusal(400, `invalid Role: "${rawString(Role) ?? ''}"`)
  if (Availability !== 'active' && Availability !== 'pause' && Availability !== 'drain')
    throw refusal(400, `invalid Availability: "${rawString(Availability) ?? ''}"`)
}

export function invalid(text: string): PortError {
  return refusal(400, `rpc error: code = InvalidArgument desc = ${text}`)
}

/** The error of the port for this answer of dockerd. The adapter's own code decides it, so that it is tested too. */
export function refusal(statusCode: number, message: string): PortError {
  return portErrorOf({ statusCode, json: { message } }, 'simulated')
}

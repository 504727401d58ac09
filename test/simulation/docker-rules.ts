import { canonicalJson } from '../../src/api/hash.ts'
import { portErrorOf } from '../../src/adapters/docker/errors.ts'
import type { PortError } from '../../src/ports/errors.ts'
import type { RawSpec, SwarmNode } from '../../src/ports/swarm.ts'
import { dig, rawList, rawObject } from '../../src/reconcilers/shared/raw.ts'

/** What dockerd makes of a spec it is given: defaults filled in, the network's name replaced by its id. Seen on 20.10. */
export function stored(spec: RawSpec): RawSpec {
  const copy = structuredClone(spec)
  const template = rawObject(copy['TaskTemplate'])
  const container = rawObject(template['ContainerSpec'])
  const networks = rawList(template['Networks']).map((one) => ({
    ...rawObject(one),
    Target: `id-of-${String(dig(one, 'Target')).replace(/^id-of-/, '')}`,
  }))
  return {
    ...copy,
    Labels: copy['Labels'] ?? {},
    TaskTemplate: {
      ...template,
      ContainerSpec: { DNSConfig: {}, Isolation: 'default', Labels: {}, ...container },
      ...(networks.length > 0 ? { Networks: networks } : {}),
      Placement: { ...rawObject(template['Placement']) },
      ForceUpdate: template['ForceUpdate'] ?? 0,
      Runtime: 'container',
    },
  }
}

/** What a task is compared by: another template starts another task. Constraints do not count, as long as they match. */
export function templateOf(spec: RawSpec): string {
  const known = templates.get(spec)
  if (known !== undefined) return known
  const template = readTemplate(spec)
  templates.set(spec, template)
  return template
}

/** Specs are replaced and never changed, and every settling asks for all of them. */
const templates = new WeakMap<RawSpec, string>()

function readTemplate(spec: RawSpec): string {
  const { Placement, ...template } = rawObject(spec['TaskTemplate'])
  return canonicalJson({ ...template, preferences: dig(Placement, 'Preferences'), ports: dig(spec, 'EndpointSpec', 'Ports') })
}

export function replicasOf(spec: RawSpec): number {
  const replicas = dig(spec, 'Mode', 'Replicated', 'Replicas')
  return typeof replicas === 'number' ? replicas : 0
}

/** `node.labels.X==Y` and `!=`, values without case. */
export function matches(spec: RawSpec, node: SwarmNode): boolean {
  return rawList(dig(spec, 'TaskTemplate', 'Placement', 'Constraints')).every((text) => {
    const [, key, operator, value] = /^\s*node\.labels\.([^\s=!]+)\s*(==|!=)\s*(.*?)\s*$/.exec(String(text)) ?? []
    if (key === undefined) return true
    return ((node.labels[key] ?? '').toLowerCase() === value?.toLowerCase()) === (operator === '==')
  })
}

type Named = ReadonlyMap<string, { readonly name: string }>

/** What a manager refuses in a service's spec: references to objects that are not there, and constraints it cannot read. */
export function judgeSpec(spec: RawSpec, configs: Named, secrets: Named): void {
  const container = dig(spec, 'TaskTemplate', 'ContainerSpec')
  for (const one of rawList(dig(container, 'Configs'))) judgeReference(configs, dig(one, 'ConfigID'), dig(one, 'ConfigName'))
  for (const one of rawList(dig(container, 'Secrets'))) judgeReference(secrets, dig(one, 'SecretID'), dig(one, 'SecretName'))
  const constraints = rawList(dig(spec, 'TaskTemplate', 'Placement', 'Constraints')).map(String)
  const slashed = constraints.find((one) => one.includes('/'))
  if (slashed !== undefined) throw refusal(400, `rpc error: code = InvalidArgument desc = invalid placement constraint ${slashed}`)
}

function judgeReference(objects: Named, id: unknown, name: unknown): void {
  if (objects.get(String(id))?.name !== name)
    throw refusal(400, `rpc error: code = InvalidArgument desc = no object ${String(name)} with id ${String(id)}`)
}

/** What the port throws when dockerd answers like this: the adapter's own judgement, so that it is tried along with everything else. */
export function refusal(statusCode: number, message: string): PortError {
  return portErrorOf({ statusCode, json: { message } }, 'simulated')
}

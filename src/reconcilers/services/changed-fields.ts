import { canonicalJson } from '../../api/hash.ts'
import { objectLabels } from '../../api/labels.ts'
import type { DriftKind } from '../../api/drift-kinds.ts'
import type { RawSpec, SwarmService } from '../../ports/swarm.ts'
import { dense, dig, rawObject } from '../shared/raw.ts'
import type { ServicesAction, ServicesPlan, UpdateService } from './actions.ts'
import { projectionOf, templateHashOf } from './projection.ts'

/** Adds the drifted fields to each update that corrects drift. */
export function withChangedFields(service: SwarmService, plan: ServicesPlan): ServicesPlan {
  const described = (action: ServicesAction): ServicesAction =>
    action.kind === 'updateService' && action.corrects.length > 0 ? { ...action, changed: changedFields(service, action) } : action
  return { ...plan, actions: plan.actions.map(described) }
}

/** In Docker's field names: `Mode.Replicated.Replicas 1 → 0`. For fields that may hold a secret, such as Env, only that they changed. */
function changedFields(service: SwarmService, { spec, corrects }: UpdateService): readonly string[] {
  return corrects.flatMap((kind) => byKind[kind]?.(service, spec) ?? [])
}

const byKind: Readonly<Partial<Record<DriftKind, (service: SwarmService, wanted: RawSpec) => readonly string[]>>> = {
  template: (service, wanted) => templateFields(asWritten(service) ?? wanted, service.spec),
  replicas: (service, wanted) =>
    field('Mode.Replicated.Replicas', dig(wanted, 'Mode', 'Replicated', 'Replicas'), dig(service.spec, 'Mode', 'Replicated', 'Replicas')),
  update_policy: (service, wanted) =>
    ['UpdateConfig', 'RollbackConfig'].flatMap((part) => below(part, rawObject(wanted[part]), rawObject(service.spec[part]))),
  service_labels: ({ labels }, wanted) =>
    Object.entries(rawObject(wanted['Labels'])).flatMap(([key, value]) =>
      labels[key] === value ? [] : [`Labels.${key} ${labels[key] === undefined ? 'removed' : 'changed'}`],
    ),
}

/** The previous spec that Swarm keeps, if it is the one that we wrote: it shows exactly what changed since. */
export function asWritten({ previousSpec, labels }: SwarmService): RawSpec | undefined {
  if (previousSpec === undefined) return undefined
  return templateHashOf(previousSpec) === labels[objectLabels.templateHash] ? previousSpec : undefined
}

/** The path in a service's spec for each key of the projection. */
const places: Readonly<Record<string, string>> = {
  image: 'TaskTemplate.ContainerSpec.Image',
  container: 'TaskTemplate.ContainerSpec',
  mounts: 'TaskTemplate.ContainerSpec.Mounts',
  configs: 'TaskTemplate.ContainerSpec.Configs',
  secrets: 'TaskTemplate.ContainerSpec.Secrets',
  limits: 'TaskTemplate.Resources.Limits',
  reservations: 'TaskTemplate.Resources.Reservations',
  restart: 'TaskTemplate.RestartPolicy',
  constraints: 'TaskTemplate.Placement.Constraints',
  preferences: 'TaskTemplate.Placement.Preferences',
  maxReplicas: 'TaskTemplate.Placement.MaxReplicas',
  networks: 'TaskTemplate.Networks',
  logDriver: 'TaskTemplate.LogDriver',
  endpointMode: 'EndpointSpec.Mode',
  ports: 'EndpointSpec.Ports',
}

function templateFields(wanted: RawSpec, actual: RawSpec): readonly string[] {
  const [from, to] = [projectionOf(wanted), projectionOf(actual)]
  return Object.entries(places).flatMap(([key, place]) => {
    const [old, now] = [from[key], to[key]]
    return isPlain(old) || isPlain(now) ? below(place, rawObject(old), rawObject(now)) : field(place, old, now)
  })
}

function isPlain(value: unknown): boolean {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

function below(place: string, from: RawSpec, to: RawSpec): readonly string[] {
  const keys = [...new Set([...Object.keys(from), ...Object.keys(to)])]
  return keys.flatMap((key) => field(`${place}.${key}`, from[key], to[key]))
}

/** Shows values only of numbers, booleans and a few known fields: other strings may hold secrets. */
function field(place: string, from: unknown, to: unknown): readonly string[] {
  if (canonicalJson(dense(from) ?? null) === canonicalJson(dense(to) ?? null)) return []
  const shown = [from, to].every((value) => value === undefined || typeof value === 'number' || typeof value === 'boolean')
  const named = /\.(Image|Order|FailureAction|Condition|Mode)$/.test(place)
  return [shown || named ? `${place} ${text(from)} → ${text(to)}` : `${place} changed`]
}

function text(value: unknown): string {
  if (typeof value === 'string') return value === '' ? 'none' : value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'none'
}

import { canonicalJson } from '../../api/hash.ts'
import { objectLabels } from '../../api/labels.ts'
import type { DriftKind } from '../../ports/metrics.ts'
import type { RawSpec, SwarmService } from '../../ports/swarm.ts'
import { dense, dig, rawObject } from '../shared/raw.ts'
import type { ServicesAction, ServicesPlan, UpdateService } from './actions.ts'
import { projectionOf, templateHashOf } from './projection.ts'

/** The plan, with what was changed by somebody else said of each write that puts it back. */
export function withChangedFields(service: SwarmService, plan: ServicesPlan): ServicesPlan {
  const told = (action: ServicesAction): ServicesAction =>
    action.kind === 'updateService' && action.corrects.length > 0 ? { ...action, changed: changedFields(service, action) } : action
  return { ...plan, actions: plan.actions.map(told) }
}

/** In Docker's words: `Mode.Replicated.Replicas 1 → 0`. Of what may hold a secret, such as Env, only that it changed. */
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

/** Swarm keeps the spec before the last update: where that is as we wrote it, it tells exactly what was changed since. */
export function asWritten({ previousSpec, labels }: SwarmService): RawSpec | undefined {
  if (previousSpec === undefined) return undefined
  const hash = templateHashOf(previousSpec['TaskTemplate'], previousSpec['EndpointSpec'])
  return hash === labels[objectLabels.templateHash] ? previousSpec : undefined
}

/** Where the projection's own names stand in a service's spec. */
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
  const [from, to] = [wanted, actual].map((spec) => projectionOf(spec['TaskTemplate'], spec['EndpointSpec'])) as [RawSpec, RawSpec]
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

/** Numbers, switches and the names of images and orders are shown; text and lists of people may be anything. */
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

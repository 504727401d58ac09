import { gunzipSync, gzipSync } from 'node:zlib'
import type { ConditionStatus } from '../../api/conditions.ts'
import { hashOf } from '../../api/hash.ts'
import { labelSchemaVersion, managedBy, objectLabels } from '../../api/labels.ts'
import { isVmName, type VmName } from '../../api/names.ts'
import { byText } from '../../api/order.ts'
import type { Labels, SwarmConfig } from '../../ports/swarm.ts'
import { rawObject } from '../../reconcilers/shared/raw.ts'

export interface StatusSince {
  readonly status: ConditionStatus
  /** RFC 3339. */
  readonly since: string
}

/** By type of condition. */
export type TimesOfVm = ReadonlyMap<string, StatusSince>
export type Times = ReadonlyMap<VmName, TimesOfVm>

const component = 'status-times'
export const timesLabel = `${objectLabels.component}=${component}`
/** A config holds less than 1,024,000 bytes; packed, one VM takes some 150. */
const vmsInOne = 4_000
const longestText = 16 * 1024 ** 2

interface TimesConfig {
  readonly name: string
  readonly labels: Labels
  readonly data: Uint8Array
}

export function renderTimes(times: Times, cluster: string, takenAtMs: number): readonly TimesConfig[] {
  const entries = sorted(times)
  return Array.from({ length: Math.max(1, Math.ceil(entries.length / vmsInOne)) }, (_, part) => {
    const vms = Object.fromEntries(entries.slice(part * vmsInOne, (part + 1) * vmsInOne))
    const text = JSON.stringify({ version: 1, takenAtMs, vms })
    const labels = {
      [objectLabels.managedBy]: managedBy,
      [objectLabels.schema]: labelSchemaVersion,
      [objectLabels.component]: component,
      [objectLabels.cluster]: cluster,
    }
    return { name: `sv-times-${hashOf([cluster, part, text])}`, labels, data: gzipSync(text) }
  })
}

export function isTimesConfig({ labels }: Pick<SwarmConfig, 'labels'>, cluster: string): boolean {
  return (
    labels[objectLabels.managedBy] === managedBy && labels[objectLabels.component] === component && labels[objectLabels.cluster] === cluster
  )
}

/** The newest entry of each VM counts. Ignores configs that cannot be parsed, because no decision depends on them. */
export function parseTimes(configs: readonly Uint8Array[]): Times {
  const read = configs.flatMap((data) => parseOne(data) ?? []).toSorted((a, b) => a.takenAtMs - b.takenAtMs)
  return new Map(read.flatMap(({ vms }) => vms))
}

interface Taken {
  readonly takenAtMs: number
  readonly vms: readonly (readonly [VmName, TimesOfVm])[]
}

function parseOne(data: Uint8Array): Taken | undefined {
  const read = rawObject(unpacked(data))
  if (read['version'] !== 1 || typeof read['takenAtMs'] !== 'number') return undefined
  const vms = Object.entries(rawObject(read['vms'])).flatMap(([vm, types]) => (isVmName(vm) ? [[vm, ofVm(types)] as const] : []))
  return { takenAtMs: read['takenAtMs'], vms }
}

function unpacked(data: Uint8Array): unknown {
  try {
    return JSON.parse(gunzipSync(data, { maxOutputLength: longestText }).toString('utf8')) as unknown
  } catch {
    return undefined
  }
}

const statuses: readonly unknown[] = ['True', 'False', 'Unknown'] satisfies readonly ConditionStatus[]

function ofVm(types: unknown): TimesOfVm {
  const each = Object.entries(rawObject(types)).flatMap(([type, one]) => {
    const [status, since] = Array.isArray(one) ? (one as readonly unknown[]) : []
    const isKnown = statuses.includes(status) && typeof since === 'string' && !Number.isNaN(Date.parse(since))
    return isKnown ? [[type, { status: status as ConditionStatus, since }] as const] : []
  })
  return new Map(each)
}

/** Does not depend on when the times were taken. */
export function timesHash(times: Times): string {
  return hashOf(sorted(times))
}

function sorted(times: Times): readonly (readonly [VmName, Readonly<Record<string, readonly [ConditionStatus, string]>>])[] {
  const packed = [...times].map(([vm, types]) => {
    const each = [...types].toSorted(([a], [b]) => byText(a, b)).map(([type, { status, since }]) => [type, [status, since] as const])
    return [vm, Object.fromEntries(each) as Record<string, readonly [ConditionStatus, string]>] as const
  })
  return packed.toSorted(([a], [b]) => byText(a, b))
}

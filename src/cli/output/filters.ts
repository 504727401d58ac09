import type { DiskView } from '../../api/wire/disks.ts'
import type { NodeView, VmView } from '../../api/wire/controller-api.ts'
import { closest } from '../../api/closest.ts'
import { phases } from '../../api/phases.ts'
import { capabilityOf } from './capability.ts'
import { oneOf, UsageError } from './outcome.ts'
import { readyOf } from './columns.ts'

interface Filter<Row> {
  /** The allowed values. Undefined allows any string. */
  readonly values?: readonly string[]
  readonly matches: (row: Row, value: string) => boolean
  /** All values of this key must match. For other keys, one is enough. */
  readonly all?: true
}
type Filters<Row> = Readonly<Record<string, Filter<Row>>>

export const vmFilters: Filters<VmView> = {
  name: { matches: (vm, value) => vm.name.startsWith(value) },
  phase: { values: phases, matches: (vm, value) => isSame(vm.phase, value) },
  node: { matches: (vm, value) => vm.facts['node'] === value },
  ready: { values: ['true', 'false', 'unknown'], matches: (vm, value) => isSame(readyOf(vm), value) },
  label: { all: true, matches: (vm, value) => hasLabel(vm.labels, value) },
}

export const nodeFilters: Filters<NodeView> = {
  name: { matches: (node, value) => node.hostname.startsWith(value) },
  role: { values: ['manager', 'worker'], matches: (node, value) => node.role === value },
  availability: { values: ['active', 'pause', 'drain'], matches: (node, value) => node.availability === value },
  state: { values: ['ready', 'down', 'disconnected', 'unknown'], matches: (node, value) => isSame(node.state, value) },
  capable: { values: ['true', 'false'], matches: (node, value) => (capabilityOf(node) === 'true') === (value === 'true') },
  label: { all: true, matches: (node, value) => hasLabel(node.labels, value) },
}

export const diskFilters: Filters<DiskView> = {
  node: { matches: (disk, value) => disk.node === value },
  vm: { matches: (disk, value) => disk.vm === value },
  state: {
    values: ['inuse', 'detached', 'deleting', 'retained', 'foreign', 'ownerless'],
    matches: (disk, value) => isSame(disk.state, value),
  },
  uid: { matches: (disk, value) => disk.uid.startsWith(value) },
}

/** As docker's `--filter`: all keys must match, and one of several values of the same key. Throws UsageError for an unknown key or value. */
export function filterOf<Row>(given: readonly string[], filters: Filters<Row>): (row: Row) => boolean {
  const wanted = new Map<string, string[]>()
  for (const text of given) {
    const [key, value] = parsed(text, filters)
    wanted.set(key, [...(wanted.get(key) ?? []), value])
  }
  return (row) => [...wanted].every(([key, values]) => holds(filters[key], row, values))
}

function parsed<Row>(text: string, filters: Filters<Row>): [string, string] {
  const at = text.indexOf('=')
  const [key, value] = [text.slice(0, at), text.slice(at + 1)]
  if (at < 1 || value === '') throw new UsageError(`--filter must be KEY=VALUE, not "${text}"`)
  const filter = Object.hasOwn(filters, key) ? filters[key] : undefined
  if (filter === undefined) {
    const meant = closest(key, Object.keys(filters))
    const help = meant === undefined ? '' : `; did you mean "${meant}"?`
    throw new UsageError(`--filter has no key "${key}"; the keys are ${Object.keys(filters).join(', ')}${help}`)
  }
  return [key, filter.values === undefined ? value : oneOf(`--filter: ${key}`, filter.values, value)]
}

function holds<Row>(filter: Filter<Row> | undefined, row: Row, values: readonly string[]): boolean {
  if (filter === undefined) return false
  const matches = (value: string): boolean => filter.matches(row, value)
  return filter.all === true ? values.every(matches) : values.some(matches)
}

function isSame(text: string, value: string): boolean {
  return text.toLowerCase() === value.toLowerCase()
}

function hasLabel(labels: Readonly<Record<string, string>>, text: string): boolean {
  const at = text.indexOf('=')
  const key = at < 0 ? text : text.slice(0, at)
  return Object.hasOwn(labels, key) && (at < 0 || labels[key] === text.slice(at + 1))
}

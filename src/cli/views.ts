import { formatBytes } from '../api/quantity.ts'
import type { NodeView, SourcesView, VmView } from '../api/wire/controller-api.ts'
import { printable } from './outcome.ts'
import { type Column, table } from './table.ts'

export const viewFormats = ['table', 'wide', 'json', 'yaml', 'name'] as const
export type ViewFormat = (typeof viewFormats)[number]

/** One object's text as YAML; the adapter that owns the driver gives it. */
export type YamlText = (value: unknown) => string

/** How one kind of thing is shown. */
interface Shape<Row> {
  readonly columns: readonly Column<Row>[]
  readonly wide: readonly Column<Row>[]
  readonly name: (row: Row) => string
}

const condition = (vm: VmView, type: string) => vm.conditions.find((one) => one.type === type)

const vmShape: Shape<VmView> = {
  columns: [
    ['NAME', (vm) => vm.name],
    ['PHASE', (vm) => vm.phase],
    ['READY', (vm) => condition(vm, 'Ready')?.status ?? ''],
    ['NODE', (vm) => vm.facts['node'] ?? ''],
    ['ADDRESS', (vm) => vm.facts['ip'] ?? ''],
  ],
  wide: [
    ['MAC', (vm) => vm.facts['mac'] ?? ''],
    ['ACCELERATOR', (vm) => vm.facts['accelerator'] ?? ''],
    ['DECLARED', (vm) => vm.declared],
    ['REASON', (vm) => condition(vm, 'Ready')?.reason ?? ''],
    ['MESSAGE', (vm) => condition(vm, 'Ready')?.message ?? ''],
  ],
  name: (vm) => vm.name,
}

const nodeShape: Shape<NodeView> = {
  columns: [
    ['NODE', (node) => node.hostname],
    ['ROLE', (node) => node.role],
    ['AVAILABILITY', (node) => node.availability],
    ['STATE', (node) => node.state],
    ['CAPABLE', (node) => node.labels['vm-capable'] ?? ''],
    ['ACCELERATOR', (node) => node.labels['swarmvirt.accel'] ?? ''],
    ['CPUS', (node) => String(node.facts?.cpus ?? '')],
    ['MEMORY', (node) => bytes(node.facts?.memoryBytes)],
    ['DISK FREE', (node) => bytes(node.facts?.disk.freeBytes)],
  ],
  wide: [
    ['KVM', (node) => node.facts?.kvm.state ?? ''],
    ['RELEASE', (node) => node.facts?.release ?? ''],
    ['AGENT', (node) => node.agentMessage || (node.facts === null ? '' : 'answers')],
  ],
  name: (node) => node.hostname,
}

const sourceShape: Shape<SourcesView['sources'][number]> = {
  columns: [
    ['SOURCE', (source) => source.source],
    ['COMPLETE', (source) => (source.complete ? 'yes' : 'no')],
    ['VALID', (source) => String(source.documents.valid)],
    ['INVALID', (source) => String(source.documents.invalid)],
    ['MESSAGE', (source) => source.message],
  ],
  wide: [],
  name: (source) => source.source,
}

/** All VMs as a list. */
export function showVms(vms: readonly VmView[], format: ViewFormat, yaml: YamlText): string {
  return shown(vmShape, vms, { vms }, format, yaml)
}

/** One VM; as JSON and YAML it is the object itself and no list. */
export function showVm(vm: VmView, format: ViewFormat, yaml: YamlText): string {
  return shown(vmShape, [vm], vm, format, yaml)
}

export function showNodes(nodes: readonly NodeView[], format: ViewFormat, yaml: YamlText): string {
  return shown(nodeShape, nodes, { nodes }, format, yaml)
}

/** The table is followed by what is wrong: the manifests' errors as people read them, and why removals are withheld. */
export function showSources(view: SourcesView, format: ViewFormat, yaml: YamlText): string {
  const list = shown(sourceShape, view.sources, view, format, yaml)
  if (format !== 'table' && format !== 'wide') return list
  const issues = [...new Set(view.sources.flatMap((source) => source.issues))]
  const stalled = view.stalled === null ? [] : [`removals are withheld: ${view.stalled}`]
  return [list, ...[...issues, ...stalled].map((text) => `${text.split('\n').map(printable).join('\n')}\n`)].join('\n')
}

/** `whole` is what stands in the API's answer. */
function shown<Row>(shape: Shape<Row>, rows: readonly Row[], whole: unknown, format: ViewFormat, yaml: YamlText): string {
  switch (format) {
    case 'table':
      return table(shape.columns, rows)
    case 'wide':
      return table([...shape.columns, ...shape.wide], rows)
    case 'json':
      return `${JSON.stringify(whole, null, 2)}\n`
    case 'yaml':
      return yaml(whole)
    case 'name':
      return rows.map((row) => `${printable(shape.name(row))}\n`).join('')
    default:
      return format satisfies never
  }
}

function bytes(count: number | undefined): string {
  return count === undefined ? '' : formatBytes(count)
}

import { age } from './age.ts'
import { capabilityOf } from './capability.ts'
import { formatBytes } from '../../api/quantity.ts'
import type { DiskView } from '../../api/wire/disks.ts'
import type { NodeView, SourceView, VmView } from '../../api/wire/controller-api.ts'

/** A value for a column and for templates. */
export interface Field<Row> {
  /** As in `{{.Name}}`. */
  readonly name: string
  readonly head: string
  readonly text: (row: Row) => string
  /** Changes as time passes, so a change of it is not printed. */
  readonly aging?: true
}

/** Columns of one kind of object. */
export interface Shape<Row> {
  readonly columns: readonly Field<Row>[]
  /** Additional columns of `-o wide`. */
  readonly wide: readonly Field<Row>[]
  /** Only for templates. */
  readonly more: readonly Field<Row>[]
  readonly name: (row: Row) => string
}

function field<Row>(name: string, head: string, text: (row: Row) => string): Field<Row> {
  return { name, head, text }
}

const condition = (vm: VmView, type: string) => vm.conditions.find((one) => one.type === type)

/** True, False or Unknown. */
export function readyOf(vm: VmView): string {
  return condition(vm, 'Ready')?.status ?? 'Unknown'
}

/** Ages count from `nowMs`, milliseconds since the epoch. */
export function vmShape(nowMs: () => number): Shape<VmView> {
  return {
    columns: [
      field('Name', 'NAME', (vm) => vm.name),
      field('Phase', 'PHASE', (vm) => vm.phase),
      field('Ready', 'READY', (vm) => condition(vm, 'Ready')?.status ?? ''),
      field('Node', 'NODE', (vm) => vm.facts['node'] ?? ''),
      field('Address', 'ADDRESS', (vm) => vm.facts['ip'] ?? ''),
      field('CPUs', 'CPUS', ({ spec }) => String(spec?.cores ?? '')),
      field('Memory', 'MEMORY', ({ spec }) => bytes(spec?.memoryBytes)),
      field('Image', 'IMAGE', ({ spec }) => baseName(spec?.disks[0]?.image ?? '')),
      { ...field<VmView>('Age', 'AGE', (vm) => age(vm.facts['createdAt'] ?? '', nowMs())), aging: true },
    ],
    wide: [
      field('Disks', 'DISKS', ({ spec }) =>
        (spec?.disks ?? []).map(({ name, sizeBytes }) => `${name} ${formatBytes(sizeBytes)}`).join(', '),
      ),
      field('Networks', 'NETWORKS', ({ spec }) => (spec?.networks ?? []).map(networkText).join(', ')),
      field('SSH', 'SSH', (vm) => vm.facts['ssh'] ?? ''),
      field('MAC', 'MAC', (vm) => vm.facts['mac'] ?? ''),
      field('Accelerator', 'ACCELERATOR', (vm) => vm.facts['accelerator'] ?? ''),
      field('Declared', 'DECLARED', (vm) => vm.declared),
      field('Reason', 'REASON', (vm) => condition(vm, 'Ready')?.reason ?? ''),
      field('Message', 'MESSAGE', (vm) => condition(vm, 'Ready')?.message ?? ''),
    ],
    more: [
      field('Generation', 'GENERATION', (vm) => vm.generation),
      field('ObservedGeneration', 'OBSERVED GENERATION', (vm) => vm.observedGeneration),
      field('Labels', 'LABELS', (vm) => labelsText(vm.labels)),
    ],
    name: (vm) => vm.name,
  }
}

export const nodeShape: Shape<NodeView> = {
  columns: [
    field('Name', 'NODE', (node) => node.hostname),
    field('Role', 'ROLE', (node) => node.role),
    field('Availability', 'AVAILABILITY', (node) => node.availability),
    field('State', 'STATE', (node) => node.state),
    field('Capable', 'CAPABLE', capabilityOf),
    field('Accelerator', 'ACCELERATOR', (node) => node.labels['swarmvirt.accel'] ?? ''),
    field('CPUs', 'CPUS', (node) => String(node.facts?.cpus ?? '')),
    field('Memory', 'MEMORY', (node) => bytes(node.facts?.memoryBytes)),
    field('DiskFree', 'DISK FREE', (node) => bytes(node.facts?.disk.freeBytes)),
  ],
  wide: [
    field('KVM', 'KVM', (node) => node.facts?.kvm.state ?? ''),
    field('Overuse', 'OVERUSE', (node) => (node.facts?.overuse ?? []).map((one) => one.vm ?? one.uid).join(' ')),
    field('NotReached', 'NOT REACHED', (node) => node.notReached.join(' ')),
    field('Release', 'RELEASE', (node) => node.facts?.release ?? ''),
    field('Agent', 'AGENT', (node) => node.agentMessage || (node.facts === null ? '' : 'answers')),
  ],
  more: [field('ID', 'ID', (node) => node.id), field('Labels', 'LABELS', (node) => labelsText(node.labels))],
  name: (node) => node.hostname,
}

export const diskShape: Shape<DiskView> = {
  columns: [
    field('Node', 'NODE', (disk) => disk.node),
    field('VM', 'VM', (disk) => disk.vm ?? ''),
    field('Disk', 'DISK', (disk) => disk.disk),
    field('Size', 'SIZE', (disk) => formatBytes(disk.sizeBytes)),
    field('Used', 'USED', (disk) => formatBytes(disk.allocatedBytes)),
    field('State', 'STATE', (disk) => disk.state),
    field('RetainedAt', 'REMOVED', (disk) => disk.retainedAt ?? ''),
    field('UID', 'UID', (disk) => disk.uid),
  ],
  wide: [field('Cluster', 'CLUSTER', (disk) => disk.cluster ?? '')],
  more: [],
  // The path on the node, for a person who searches the disk.
  name: (disk) => `${disk.node}:instances/${disk.uid}/disks/${disk.disk}.qcow2`,
}

export const sourceShape: Shape<SourceView> = {
  columns: [
    field('Name', 'SOURCE', (source) => source.source),
    field('Complete', 'COMPLETE', (source) => (source.complete ? 'yes' : 'no')),
    field('Valid', 'VALID', (source) => String(source.documents.valid)),
    field('Invalid', 'INVALID', (source) => String(source.documents.invalid)),
    field('Ignored', 'IGNORED', (source) => String(source.documents.ignored)),
    // Not shortened, so that it can be copied: nothing else shows which commit the cluster has.
    field('Revision', 'REVISION', (source) => source.revision),
    field('Message', 'MESSAGE', (source) => source.message),
  ],
  wide: [],
  more: [],
  name: (source) => source.source,
}

export function fieldsOf<Row>({ columns, wide, more }: Shape<Row>): readonly Field<Row>[] {
  return [...columns, ...wide, ...more]
}

function networkText({ name, bridge, kind }: { readonly name: string; readonly bridge: string; readonly kind?: string }): string {
  return kind === 'user' ? `${name} behind NAT` : `${name} on ${bridge}`
}

/** Only the file name of an image, since a URL would fill the line. */
function baseName(source: string): string {
  return source.split(/[?#]/, 1)[0]?.split('/').at(-1) ?? ''
}

/** Same format as docker's labels. */
function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}

function bytes(count: number | undefined): string {
  return count === undefined ? '' : formatBytes(count)
}

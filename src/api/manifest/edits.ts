import { formatBytes } from '../quantity.ts'
import type { EditEffect } from './about.ts'
import { cloudInitInstanceAnnotation } from './annotations.ts'
import { effectOf, machineAbout } from './fields.ts'

/** The part of a guest's configuration that its manifest decides: of the running VM, or of the current manifest. */
export interface MachineInputs {
  readonly cores: number
  readonly memoryMiB: number
  /** Undefined where only the MiB are known for certain. */
  readonly memoryBytes: number | undefined
  readonly accelerator: string
  /** Names, in boot order. */
  readonly disks: readonly string[]
  readonly networks: readonly Readonly<Record<'name' | 'mac', string>>[]
  /** Undefined if unknown. */
  readonly bridges: readonly string[] | undefined
  readonly sshAuthorizedKeys: readonly string[]
  /** What cloud-init takes the guest for; undefined for the VM's first instance. */
  readonly cloudInitInstance: string | undefined
  /** Stands for the content, which is secret: another text is another content. Undefined where there is none. */
  readonly userData: string | undefined
  /** Paths of the manifest whose values a class gives. */
  readonly fromClass: { readonly name: string; readonly paths: readonly string[] } | undefined
}

/** One field that has another value than what runs. Without `from` and `to` the values are not shown. */
export interface Edit {
  /** `spec.networks[0].bridge`. */
  readonly path: string
  readonly from: string | undefined
  readonly to: string | undefined
  readonly effect: EditEffect
  /** The VirtualMachineClass that gives the wanted value. */
  readonly className?: string
}

type Path = readonly (string | number)[]
type Change = readonly [path: Path, from: string | undefined, to: string | undefined]

/** The edits since a VM started, by manifest field. Never contains secrets. Pure. */
export function editsBetween(running: MachineInputs, wanted: MachineInputs): readonly Edit[] {
  const changes: readonly Change[] = [
    ...changed(['spec', 'cpu', 'cores'], String(running.cores), String(wanted.cores)),
    ...memory(running, wanted),
    ...changed(['spec', 'accelerator'], running.accelerator, wanted.accelerator),
    ...listed('disks', running.disks.map(named), wanted.disks.map(named)),
    ...networks(running, wanted),
    ...changed(['metadata', 'annotations', cloudInitInstanceAnnotation], running.cloudInitInstance, wanted.cloudInitInstance),
    ...hidden(
      ['spec', 'cloudInit', 'sshAuthorizedKeys'],
      JSON.stringify(running.sshAuthorizedKeys),
      JSON.stringify(wanted.sshAuthorizedKeys),
    ),
    ...hidden(['spec', 'cloudInit', 'userData'], running.userData, wanted.userData),
  ]
  return changes.map((change) => editOf(change, wanted.fromClass))
}

/** For people: `spec.memory 1 GiB → 2 GiB, spec.cpu.cores 1 → 2 (class small)`. */
export function describeEdits(edits: readonly Edit[]): string {
  return edits.map(sayEdit).join(', ')
}

/** What a person does beside a restart so that `first-boot` edits are applied; undefined where nothing more is needed. */
export function newInstanceHint(edits: readonly Edit[]): string | undefined {
  const newInstance = pathText(['metadata', 'annotations', cloudInitInstanceAnnotation])
  if (!edits.some((one) => one.effect === 'first-boot') || edits.some((one) => one.path === newInstance)) return undefined
  return `cloud-init applies most of cloudInit only at the first boot of an instance; to have it run again at the next restart, add a new value of ${cloudInitInstanceAnnotation} to metadata.annotations`
}

/** `spec.disks[0].size`; what is no plain word is quoted: `metadata.labels["a.b/c"]`. */
export function pathText(path: readonly (string | number)[]): string {
  return path
    .map((step, index) => {
      if (typeof step === 'number') return `[${step}]`
      if (!/^\w+$/.test(step)) return `[${JSON.stringify(step)}]`
      return index === 0 ? step : `.${step}`
    })
    .join('')
}

function sayEdit({ path, from, to, className }: Edit): string {
  const by = className === undefined ? '' : ` (class ${className})`
  if (from === undefined && to === undefined) return `${path} changed${by}`
  if (from === undefined) return `${path} ${to} added${by}`
  return to === undefined ? `${path} ${from} removed` : `${path} ${from} → ${to}${by}`
}

function editOf([path, from, to]: Change, fromClass: MachineInputs['fromClass']): Edit {
  const text = pathText(path)
  const given = fromClass !== undefined && fromClass.paths.some((one) => text === one || text.startsWith(`${one}.`))
  const effect = effectOf(machineAbout(), path) ?? 'restart'
  return { path: text, from, to, effect, ...(given ? { className: fromClass.name } : {}) }
}

function changed(path: Path, from: string | undefined, to: string | undefined): readonly Change[] {
  return from === to ? [] : [[path, from, to]]
}

/** Only that it changed is said. */
function hidden(path: Path, from: string | undefined, to: string | undefined): readonly Change[] {
  return from === to ? [] : [[path, undefined, undefined]]
}

function memory(running: MachineInputs, wanted: MachineInputs): readonly Change[] {
  const [from, to] = [running, wanted].map((one) => one.memoryBytes ?? one.memoryMiB * 1024 ** 2) as [number, number]
  const known = running.memoryBytes !== undefined && wanted.memoryBytes !== undefined
  if (known ? from === to : running.memoryMiB === wanted.memoryMiB) return []
  const exact = formatBytes(from) === formatBytes(to)
  return [[['spec', 'memory'], exact ? `${from} B` : formatBytes(from), exact ? `${to} B` : formatBytes(to)]]
}

function networks(running: MachineInputs, wanted: MachineInputs): readonly Change[] {
  const path: Path = wanted.networks.length === 1 ? ['spec', 'networks', 0, 'bridge'] : ['spec', 'networks']
  return [
    ...listed('networks', running.networks, wanted.networks),
    ...(running.bridges === undefined ? [] : changed(path, bridgesText(running), bridgesText(wanted))),
  ]
}

function bridgesText({ bridges = [] }: MachineInputs): string {
  return bridges.toSorted().join(', ')
}

function named(name: string): Entry {
  return { name }
}

type Entry = Readonly<Record<string, string>>

/** Entry by entry, in order: it is the order in which a guest sees them. */
function listed(list: 'disks' | 'networks', running: readonly Entry[], wanted: readonly Entry[]): readonly Change[] {
  return Array.from({ length: Math.max(running.length, wanted.length) }).flatMap((_, index) => {
    const [from, to] = [running[index] ?? {}, wanted[index] ?? {}]
    const keys = new Set([...Object.keys(from), ...Object.keys(to)])
    return [...keys].flatMap((key) => changed(['spec', list, index, key], from[key], to[key]))
  })
}

import type { VirtualMachine } from '../manifest.ts'
import type { EditEffect } from './about.ts'
import { cloudInitInstanceAnnotation } from './annotations.ts'
import { effectOf, machineAbout, patternOf } from './fields.ts'

/** A field whose value differs from the running one. Without `from` and `to` the values are not shown. */
export interface Edit {
  /** `spec.networks[0].bridge`. */
  readonly path: string
  readonly from: string | undefined
  readonly to: string | undefined
  readonly effect: EditEffect
  /** The VirtualMachineClass that gives the wanted value. */
  readonly className?: string
}

/** The effect is that of the field. */
export function editOf(
  vm: Pick<VirtualMachine, 'spec' | 'fromClass'>,
  path: readonly (string | number)[],
  from: string | undefined,
  to: string | undefined,
): Edit {
  const text = pathText(path)
  const isGiven = vm.fromClass?.some((one) => text === one || text.startsWith(`${one}.`)) === true
  return {
    path: text,
    from,
    to,
    effect: editEffect(path, from, to),
    ...(isGiven && vm.spec.class !== undefined ? { className: vm.spec.class } : {}),
  }
}

/** A disk that is added, removed or moved destroys no data; a new name of one that stays would. Only the disc of a CD-ROM drive is live, not the drive. */
export function editEffect(path: readonly (string | number)[], from: string | undefined, to: string | undefined): EditEffect {
  const pattern = patternOf(path)
  const isEntry = pattern === 'spec.disks.*.name' && (from === undefined || to === undefined)
  return isEntry || pattern === 'spec.disks' || pattern === 'spec.disks.*.cdrom' ? 'restart' : (effectOf(machineAbout(), path) ?? 'restart')
}

/** The names that both lists have, if their order differs: one pair or none. */
export function orderChange(from: readonly string[], to: readonly string[]): readonly (readonly [from: string, to: string])[] {
  const [old, now] = [from.filter((name) => to.includes(name)), to.filter((name) => from.includes(name))]
  return old.join() === now.join() ? [] : [[old.join(', '), now.join(', ')]]
}

/** For people: `spec.memory 1 GiB → 2 GiB, spec.cpu.cores 1 → 2 (class small)`. */
export function describeEdits(edits: readonly Edit[]): string {
  return edits.map(sayEdit).join(', ')
}

/** The steps beside a restart that apply `first-boot` edits; undefined if none. */
export function newInstanceHint(edits: readonly Edit[]): string | undefined {
  const newInstance = pathText(['metadata', 'annotations', cloudInitInstanceAnnotation])
  if (!edits.some((one) => one.effect === 'first-boot') || edits.some((one) => one.path === newInstance)) return undefined
  return `cloud-init applies most of cloudInit only at the first boot of an instance; to have it run again at the next restart, add a new value of ${cloudInitInstanceAnnotation} to metadata.annotations`
}

/** Formats `spec.disks[0].size`. A key that is not a plain word is quoted: `metadata.labels["a.b/c"]`. */
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

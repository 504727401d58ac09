import type { VirtualMachine } from '../manifest.ts'
import { formatBytes } from '../quantity.ts'
import { type Edit, editOf, orderChange, pathText } from './edits.ts'
import { patternOf } from './fields.ts'
import { withoutSecrets } from './hidden.ts'

type Path = readonly (string | number)[]

/** The differences between two manifests, field by field. Secrets may be hashes on either side; secrets and keys are never in the result. Pure. */
export function differences(from: VirtualMachine, to: VirtualMachine): readonly Edit[] {
  const [before, after] = [leavesOf(from, disksLike(from, to)), leavesOf(to, to.spec.disks)]
  const names = [...new Set([...before.keys(), ...after.keys()])]
  const [oldNames, newNames] = [from.spec.disks.map((one) => one.name), to.spec.disks.map((one) => one.name)]
  const moved = orderChange(oldNames, newNames).map(([old, now]) => editOf(to, ['spec', 'disks'], old, now))
  const edits = names.flatMap((name) => {
    const [old, wanted] = [before.get(name), after.get(name)]
    if (old?.text === wanted?.text) return []
    const path = (wanted ?? old)?.path ?? []
    const shown = hidden.has(patternOf(path)) ? { from: undefined, to: undefined } : { from: old?.text, to: wanted?.text }
    const edit = editOf(to, path, shown.from, shown.to)
    return [isWholeDisk(path, before, after) ? { ...edit, effect: 'restart' as const } : edit]
  })
  return [...edits, ...moved]
}

type Disks = VirtualMachine['spec']['disks']

/**
 * The disks of `from`, each at the place of its name in `to`, so that a moved disk is no other disk. A new name with the image of a disk that
 * left is a rename, as for the node. The others that left follow.
 */
function disksLike({ spec: from }: VirtualMachine, { spec: to }: VirtualMachine): readonly (Disks[number] | undefined)[] {
  const left = from.disks.filter(({ name }) => to.disks.every((one) => one.name !== name))
  const renamed = (image: Disks[number]['image']): Disks[number] | undefined => {
    const at = left.findIndex((one) => JSON.stringify(one.image) === JSON.stringify(image))
    return at < 0 ? undefined : left.splice(at, 1)[0]
  }
  const placed = to.disks.map(({ name, image }) => from.disks.find((one) => one.name === name) ?? renamed(image))
  return [...placed, ...left]
}

/** One side has no such disk, so the edit adds or removes a disk and destroys no data. */
function isWholeDisk([spec, disks, index = '']: Path, ...sides: readonly ReadonlyMap<string, Leaf>[]): boolean {
  if (spec !== 'spec' || disks !== 'disks') return false
  return sides.some((one) => !one.has(pathText(['spec', 'disks', index, 'name'])))
}

interface Leaf {
  readonly path: Path
  readonly text: string
}

/** Shown without values: only that they changed. */
const hidden: ReadonlySet<string> = new Set(['spec.cloudInit.userData', 'spec.cloudInit.networkData', 'spec.cloudInit.sshAuthorizedKeys'])
const bytes: ReadonlySet<string> = new Set([
  'spec.memory',
  'spec.memoryTarget',
  'spec.disks.*.size',
  'spec.disks.*.limits.bandwidth',
  'spec.resources.memoryOverhead',
])

function leavesOf(vm: VirtualMachine, disks: readonly (Disks[number] | undefined)[]): ReadonlyMap<string, Leaf> {
  const { metadata, spec } = isHashed(vm) ? vm : withoutSecrets(vm)
  const { labels, annotations } = metadata
  const found = [...leaves(['metadata'], { labels, annotations }), ...leaves(['spec'], { ...spec, disks })]
  return new Map(found.map((leaf) => [pathText(leaf.path), leaf]))
}

/** The form in which the controller returns it. Neither begins like this in a manifest, because cloud-init would reject it. */
function isHashed({ spec }: VirtualMachine): boolean {
  const { userData, networkData } = spec.cloudInit
  return /^sha256:[0-9a-f]{64}$/.test(userData ?? networkData ?? '')
}

function leaves(path: Path, value: unknown): readonly Leaf[] {
  if (value === undefined) return []
  const pattern = patternOf(path)
  if (hidden.has(pattern)) return isEmpty(value) ? [] : [{ path, text: JSON.stringify(value) }]
  if (Array.isArray(value)) return value.flatMap((one, index) => leaves([...path, index], one))
  if (value !== null && typeof value === 'object') return Object.entries(value).flatMap(([key, one]) => leaves([...path, key], one))
  if (bytes.has(pattern) && typeof value === 'number') return [{ path, text: byteText(value) }]
  return [{ path, text: typeof value === 'string' ? value : JSON.stringify(value) }]
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** Two different sizes are never formatted alike. */
function byteText(value: number): string {
  return value % 1024 ** 2 === 0 ? formatBytes(value) : `${value} B`
}

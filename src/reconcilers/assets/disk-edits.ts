import { type Edit, editEffect, pathText } from '../../api/manifest/edits.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import { formatBytes } from '../../api/quantity.ts'
import type { InstanceRecord } from '../../api/wire/agent-api.ts'

type Made = InstanceRecord['disks'][number]
type Wanted = VirtualMachine['spec']['disks'][number]
type Field = readonly [key: string, from: string | undefined, to: string | undefined]

/** Differences between the manifest's disks and the node's, including edits that are rejected. Pure. */
export function diskEdits(there: readonly Made[], wanted: readonly Wanted[]): readonly Edit[] {
  const left = there.filter((one) => isRecorded(one) && one.removed !== true && wanted.every(({ name }) => name !== one.name))
  const edits = wanted.flatMap((disk, index) => {
    if (disk.cdrom !== undefined) return []
    const made = there.find((one) => one.name === disk.name) ?? renamed(left, disk)
    const shrinks = made !== undefined && disk.size < made.sizeBytes
    const edits = fieldsOf(made, disk).flatMap(([key, from, to]) => edit(index, key, from, to))
    // The node rejects a smaller size, unless the annotation allows a new disk.
    return edits.map((one) => (shrinks && one.path.endsWith('.size') ? { ...one, effect: 'destroys-data' as const } : one))
  })
  return [...edits, ...left.flatMap(({ name }, index) => edit(wanted.length + index, 'name', name, undefined))]
}

/** A disk with a new name and the same image counts as a rename of one that left the manifest, which the node rejects. */
function renamed(left: Made[], { image }: Wanted): Made | undefined {
  const at = left.findIndex((one) => imageFields(one.image, image).length === 0)
  return at < 0 ? undefined : left.splice(at, 1)[0]
}

function fieldsOf(made: Made | undefined, { name, size, image }: Wanted): readonly Field[] {
  if (made === undefined) return [['name', undefined, name]]
  const wantedBytes = size ?? made.sizeBytes
  return [
    ['name', made.name, name],
    ['size', sizeText(made.sizeBytes, wantedBytes), sizeText(wantedBytes, made.sizeBytes)],
    ...(isRecorded(made) ? imageFields(made.image, image) : []),
  ]
}

/** The node knows what the disk was created from. */
export function isRecorded({ image, blank }: Made): boolean {
  return image !== undefined || blank === true
}

/** If the manifest has a checksum, only the content counts: the same bytes from another source are the same image. */
function imageFields(made: Made['image'], wanted: Wanted['image']): readonly Field[] {
  const sha256 = wanted?.sha256
  const isSame = sha256 === undefined ? wanted?.source === made?.source : sha256 === made?.sha256
  if (isSame) return []
  return [
    ['image.source', made?.source, wanted?.source],
    ...(sha256 === undefined ? [] : [['image.sha256', made?.sha256, sha256] as const]),
  ]
}

/** Falls back to bytes so that two different sizes never look the same. */
function sizeText(bytes: number, other: number): string {
  return bytes !== other && formatBytes(bytes) === formatBytes(other) ? `${bytes} B` : formatBytes(bytes)
}

function edit(index: number, key: string, from: string | undefined, to: string | undefined): readonly Edit[] {
  if (from === to) return []
  const path = ['spec', 'disks', index, ...key.split('.')]
  return [{ path: pathText(path), from, to, effect: editEffect(path, from, to) }]
}

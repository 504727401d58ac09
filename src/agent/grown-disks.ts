import type { Layout } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import type { GrownDisk } from '../api/wire/agent-api.ts'
import type { Identity } from '../api/wire/identity.ts'
import type { StateFiles } from '../ports/state-files.ts'
import { readIdentity } from './identity-file.ts'

interface GrownDisksOptions {
  readonly layout: Layout
  readonly files: Pick<StateFiles, 'readText' | 'readStart'>
}

/** The disks that are in the manifest and larger than they were created. Throws StateError. */
export async function grownDisks({ layout, files }: GrownDisksOptions, uid: VmUid): Promise<readonly GrownDisk[]> {
  const seen = await readIdentity(files, layout.identityFile(uid))
  if (seen.kind !== 'known') return []
  return seen.identity.disks.flatMap(({ name, createdBytes, sizeBytes, removed }) =>
    createdBytes === undefined || removed === true ? [] : [{ name, createdBytes, sizeBytes }],
  )
}

/** The sizes that guests see of the disks which may have grown, from the files. A runner may have changed a file, which harms only its own VM. */
export async function guestSizes({ layout, files }: GrownDisksOptions, { uid, disks }: Identity): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>()
  for (const { name, createdBytes } of disks) {
    const start = createdBytes === undefined ? undefined : await files.readStart(layout.diskFile(uid, name), headerBytes)
    const size = start && virtualBytes(start)
    if (size !== undefined) sizes.set(name, size)
  }
  return sizes
}

const headerBytes = 32
const qcow2Magic = 0x51_46_49_fb

/** QEMU, docs/interop/qcow2.rst. */
function virtualBytes(start: Uint8Array): number | undefined {
  if (start.length < headerBytes) return undefined
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength)
  return view.getUint32(0) === qcow2Magic ? Number(view.getBigUint64(24)) : undefined
}

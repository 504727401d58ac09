import type * as z from 'zod/mini'
import type { Mac } from '../src/api/mac.ts'
import { sha256Hex } from '../src/api/hash.ts'
import { withSlots } from '../src/api/disk-slots.ts'
import { type Identity, identity } from '../src/api/wire/identity.ts'
import { type LaunchConfig, launchConfig } from '../src/api/wire/launch.ts'
import { type LivePart, livePartFile } from '../src/api/wire/live-part.ts'
import { assignSlots, nicSlotsFile } from '../src/api/wire/nic-slots.ts'
import type { RunnerFiles } from '../src/ports/runner-files.ts'
import { type ExitName, RunnerExit } from './exit-codes.ts'
import { mostDiskBytes } from '../src/api/disk-bytes.ts'
import type { VmPaths } from './config.ts'
import { diskBackend, diskNode } from './devices/disks.ts'
import type { CdromInput, DiskInput } from './devices/inputs.ts'
import { nicDevice } from './devices/nics.ts'
import type { LiveInputs } from './live-part.ts'

type Readable = Pick<RunnerFiles, 'readText'>

/** One NIC of the launch config, in its PCI slot. */
export interface SlottedNic {
  readonly name: string
  readonly mac: Mac
  readonly slot: number
  /** Behind NAT. */
  readonly user?: LaunchConfig['nics'][number]['user']
}

export interface Launch {
  readonly launch: LaunchConfig
  /** SHA-256 of the config's content. */
  readonly launchHash: string
}

/** Throws RunnerExit `BadLaunchConfig`. */
export async function readLaunch(files: Readable, path: string): Promise<Launch> {
  const text = await readText(files, path, 'BadLaunchConfig')
  return { launch: parse(launchConfig, text, path, 'BadLaunchConfig'), launchHash: sha256Hex(text) }
}

/** Reads the identity of the mounted VM directory. Throws RunnerExit `IdentityMismatch` unless it matches the launch config. */
export async function readIdentity(files: Readable, path: string, launch: LaunchConfig): Promise<Identity> {
  const found = parse(identity, await readText(files, path, 'IdentityMismatch'), path, 'IdentityMismatch')
  if (found.uid !== launch.uid || found.vm !== launch.vm) {
    throw new RunnerExit(
      'IdentityMismatch',
      `${path} belongs to VM ${found.vm} (${found.uid}), but the launch config is for ${launch.vm} (${launch.uid})`,
    )
  }
  const missing = launch.disks.find((disk) => disk.cdrom === undefined && !found.disks.some((known) => known.name === disk.name))
  if (missing) throw new RunnerExit('IdentityMismatch', `the launch config names disk ${missing.name}, which is not in ${path}`)
  return found
}

/** The disks in boot order, each in the slot that the identity keeps for it. */
export function disksOf(launch: LaunchConfig, { disks }: Identity, path: (name: string) => string): DiskInput[] {
  const slots = new Map(withSlots(disks).map(({ name, slot }) => [name, slot]))
  return launch.disks.flatMap(({ name, bus, readOnly = false, cdrom }) => {
    const slot = slots.get(name)
    if (cdrom !== undefined || slot === undefined) return []
    return [{ name, path: path(name), bus, slot, readOnly, bootIndex: bootIndex(launch, name) }]
  })
}

/** The CD-ROM drives in boot order. */
export function cdromsOf(launch: LaunchConfig): CdromInput[] {
  const drives = launch.disks.filter(({ cdrom }) => cdrom !== undefined)
  return drives.map(({ name }) => ({ name, bootIndex: bootIndex(launch, name) }))
}

/** The order of the manifest. */
function bootIndex({ disks }: LaunchConfig, name: string): number {
  return disks.findIndex((one) => one.name === name) + 1
}

/** The live part that the agent keeps for this machine. Throws RunnerExit `IdentityMismatch` if a file is invalid. */
export async function readLiveInputs(
  files: Pick<RunnerFiles, 'readText' | 'inode'>,
  paths: Pick<VmPaths, 'identity' | 'livePart' | 'disc'>,
  launch: LaunchConfig,
): Promise<LiveInputs & { readonly maxDiskBytes: number }> {
  const [identity, part] = await Promise.all([readIdentity(files, paths.identity, launch), readLivePart(files, paths.livePart)])
  return { ...liveInputs(launch, identity, part, paths.disc), maxDiskBytes: maxDiskBytes(identity) }
}

/** No disk of the VM may have a larger file. */
export function maxDiskBytes({ disks }: Identity): number {
  return Math.max(...disks.map((disk) => mostDiskBytes(disk.sizeBytes)))
}

/** Disks, drives and NICs have QEMU's names by their place in the launch config. Pure. */
export function liveInputs(launch: LaunchConfig, { disks }: Identity, part: LivePart, disc: (sha256: string) => string): LiveInputs {
  const stored = launch.disks.filter(({ cdrom }) => cdrom === undefined)
  const limits = stored.map(({ name, bus }, index) => {
    const { iops = 0, bytes = 0 } = part.limits?.find(({ disk }) => disk === name) ?? {}
    return { name, device: diskBackend(index, bus), iops, bytes }
  })
  // QEMU cannot write to a read-only disk. A disk that never grew has its first size.
  const sizes = stored.flatMap(({ name, readOnly }, index) => {
    const record = disks.find((one) => one.name === name)
    return record?.createdBytes === undefined || readOnly === true ? [] : [{ node: diskNode(index), sizeBytes: record.sizeBytes }]
  })
  const discs = launch.disks
    .filter(({ cdrom }) => cdrom !== undefined)
    .map(({ name }) => {
      const sha256 = part.cdroms?.find((one) => one.name === name)?.sha256 ?? null
      return { name, path: sha256 === null ? undefined : disc(sha256) }
    })
  const links = launch.nics.map(({ name }, index) => ({ name, device: nicDevice(index), up: part.down?.includes(name) !== true }))
  const memory = { fullBytes: launch.memoryMiB * mebibyte, targetBytes: (part.memoryTargetMiB ?? launch.memoryMiB) * mebibyte }
  return { sizes, limits, discs, links, memory }
}

const mebibyte = 1024 ** 2

/** Empty without the file. Throws RunnerExit `IdentityMismatch` if it is invalid. */
async function readLivePart(files: Pick<RunnerFiles, 'readText' | 'inode'>, path: string): Promise<LivePart> {
  if ((await files.inode(path)) === undefined) return { version: 1 }
  return parse(livePartFile, await readText(files, path, 'IdentityMismatch'), path, 'IdentityMismatch')
}

/** The NICs of the launch config, in its order. Throws RunnerExit `IdentityMismatch` if the file is invalid. */
export async function readNicSlots(
  files: Pick<RunnerFiles, 'readText' | 'inode'>,
  path: string,
  { nics }: Pick<LaunchConfig, 'nics'>,
): Promise<readonly SlottedNic[]> {
  // Absent while the agent is of release 0.1.
  const text = (await files.inode(path)) === undefined ? undefined : await readText(files, path, 'IdentityMismatch')
  const { slots } = text === undefined ? { slots: [] } : parse(nicSlotsFile, text, path, 'IdentityMismatch')
  const names = nics.map(({ name }) => name)
  const assigned = assignSlots(slots, names)
  return nics.flatMap(({ name, mac, user }) =>
    assigned.filter((one) => one.name === name).map(({ slot }) => ({ name, mac, slot, ...(user === undefined ? {} : { user }) })),
  )
}

async function readText(files: Readable, path: string, exit: ExitName): Promise<string> {
  try {
    return await files.readText(path)
  } catch (cause) {
    throw new RunnerExit(exit, `${path} cannot be read: ${(cause as Error).message}`, { cause })
  }
}

function parse<T>(schema: z.ZodMiniType<T>, text: string, path: string, exit: ExitName): T {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch (cause) {
    throw new RunnerExit(exit, `${path} is not JSON: ${(cause as Error).message}`, { cause })
  }
  const result = schema.safeParse(document)
  if (result.success) return result.data
  const issues = result.error.issues.map((issue) => `${issue.path.join('.') || 'the document'}: ${issue.message}`)
  throw new RunnerExit(exit, `${path} is not valid: ${issues.join('; ')}`)
}

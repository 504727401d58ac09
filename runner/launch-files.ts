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
import type { CdromInput, DiskInput } from './devices/inputs.ts'

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
  return launch.disks.flatMap(({ name, readOnly = false, sizeBytes, cdrom }) => {
    if (cdrom !== undefined) return []
    const [slot, recorded] = [slots.get(name), disks.find((one) => one.name === name)]
    if (slot === undefined || recorded === undefined) return []
    // A larger size may have been withdrawn since. The recorded one also limits the file.
    const size = sizeBytes === undefined ? undefined : Math.min(sizeBytes, recorded.sizeBytes)
    return [{ name, path: path(name), slot, readOnly, sizeBytes: size, bootIndex: bootIndex(launch, name) }]
  })
}

/** The CD-ROM drives in boot order. A drive that the agent has not noted is empty, until the agent has its disc. */
export function cdromsOf(launch: LaunchConfig, { cdroms = [] }: LivePart, path: (sha256: string) => string): CdromInput[] {
  const drives = launch.disks.filter(({ cdrom }) => cdrom !== undefined)
  return drives.map(({ name }) => {
    const sha256 = cdroms.find((one) => one.name === name)?.sha256 ?? null
    return { name, path: sha256 === null ? undefined : path(sha256), bootIndex: bootIndex(launch, name) }
  })
}

/** The order of the manifest. */
function bootIndex({ disks }: LaunchConfig, name: string): number {
  return disks.findIndex((one) => one.name === name) + 1
}

/** Empty without the file. Throws RunnerExit `IdentityMismatch` if it is invalid. */
export async function readLivePart(files: Pick<RunnerFiles, 'readText' | 'inode'>, path: string): Promise<LivePart> {
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

import type { Layout } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import type { PrepareOrder, PrepareStatus } from '../api/wire/agent-api.ts'
import { type LivePart, livePartFile, type OrderedLivePart } from '../api/wire/live-part.ts'
import type { StateFiles } from '../ports/state-files.ts'
import type { ImageStore, ImageState } from './image-store.ts'

const maxFileBytes = 16 * 1024
const discName = /^[0-9a-f]{64}$/

export interface LivePartOptions {
  readonly layout: Layout
  readonly files: Pick<StateFiles, 'stat' | 'list' | 'readText' | 'writeAtomically' | 'makeDirectory' | 'link' | 'remove'>
  readonly isos: Pick<ImageStore, 'resolve'>
}

type Unready = Exclude<PrepareStatus, { state: 'ready' }>
type Disc = NonNullable<LivePart['cdroms']>[number]

/**
 * Keeps the live part of an order in the VM's directory, where the runner reads it. A drive whose new disc is not there yet keeps its old one;
 * everything else is kept at once. Returns why a disc is not there. Throws StateError.
 */
export async function keepLivePart(options: LivePartOptions, order: Pick<PrepareOrder, 'uid' | 'live'>): Promise<Unready | undefined> {
  const { files, layout } = options
  const { uid, live = {} } = order
  if ((await files.stat(layout.instance(uid))) === undefined) return undefined
  const path = layout.livePartFile(uid)
  const text = await files.readText(path, maxFileBytes)
  if (text === undefined && Object.keys(live).length === 0) return undefined
  const kept = text === undefined ? undefined : livePartIn(text)
  const { discs, unready } = await discsOf(options, uid, live, kept)
  const { cdroms: _cdroms, ...rest } = live
  const wanted = fileText({ version: 1, ...rest, ...(discs.length === 0 ? {} : { cdroms: [...discs] }) })
  if (wanted !== text) await files.writeAtomically(path, wanted, 0o440)
  await removeOtherDiscs(options, uid, discs)
  return unready
}

function fileText(part: LivePart): string {
  return `${JSON.stringify(part)}\n`
}

/** An invalid file is replaced: everything in it comes with the order. */
function livePartIn(text: string): LivePart | undefined {
  try {
    return livePartFile.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

async function discsOf(
  options: LivePartOptions,
  uid: VmUid,
  { cdroms = [] }: OrderedLivePart,
  kept: LivePart | undefined,
): Promise<{ readonly discs: readonly Disc[]; readonly unready: Unready | undefined }> {
  const discs: Disc[] = []
  let unready: Unready | undefined
  for (const { name, path } of cdroms) {
    const old = kept?.cdroms?.find((one) => one.name === name)
    const disc = path === null ? { name, sha256: null } : await discFrom(options, uid, { name, path }, old)
    if ('state' in disc) unready ??= disc
    discs.push('state' in disc ? (old ?? { name, sha256: null }) : disc)
  }
  return { discs, unready }
}

/** A disc stays while its path does: a file that an operator overwrites must not change under a guest. */
async function discFrom(
  options: LivePartOptions,
  uid: VmUid,
  { name, path }: { readonly name: string; readonly path: string },
  old: Disc | undefined,
): Promise<Disc | Unready> {
  if (old?.sha256 && old.path === path && (await hasDisc(options, uid, old.sha256))) return old
  const state = await options.isos.resolve({ source: path, sha256: null })
  if (state.kind !== 'stored') return notThere(name, state)
  await insert(options, uid, state.image.sha256)
  return { name, sha256: state.image.sha256, path }
}

/** Somebody may have removed the file. */
async function hasDisc({ files, layout }: LivePartOptions, uid: VmUid, sha256: string): Promise<boolean> {
  return (await files.stat(`${layout.instanceIsos(uid)}/${sha256}`)) !== undefined
}

async function insert({ files, layout }: LivePartOptions, uid: VmUid, sha256: string): Promise<void> {
  await files.makeDirectory(layout.instanceIsos(uid), 0o2750)
  await files.link(layout.storedImage(sha256), `${layout.instanceIsos(uid)}/${sha256}`)
}

/** A guest may still read from a disc that is removed here: its QEMU has the file open. */
async function removeOtherDiscs({ files, layout }: LivePartOptions, uid: VmUid, discs: readonly Disc[]): Promise<void> {
  const directory = layout.instanceIsos(uid)
  for (const name of (await files.list(directory)) ?? [])
    if (discName.test(name) && discs.every(({ sha256 }) => sha256 !== name)) await files.remove(`${directory}/${name}`)
}

function notThere(drive: string, state: Exclude<ImageState, { kind: 'stored' }>): Unready {
  const message = `CD-ROM drive ${drive}: ${state.message}`.slice(0, 2000)
  return { state: state.kind, reason: state.reason, message }
}

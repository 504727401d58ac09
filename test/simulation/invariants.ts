import { canonicalJson } from '../../src/api/hash.ts'
import { managedBy, nodeLabels, objectLabels } from '../../src/api/labels.ts'
import { byText } from '../../src/api/order.ts'
import type { VmUid } from '../../src/api/names.ts'
import type { Labels, RawSpec } from '../../src/ports/swarm.ts'
import type { PlacementRecord } from '../../src/reconcilers/shared/placement-record.ts'
import { replicasOf, templateOf } from './docker-rules.ts'
import type { Container, Disk, Unlink } from './machines.ts'
import type { Truth } from './truth.ts'

/** The invariants, in one sentence each. A violation is reported with the name. */
export const invariants = {
  OneWriter: 'The disks of a VM never have two live writers.',
  OneMac: 'Two guests on the LAN never have the same MAC, except one that was powering off when the controller started.',
  ForeignUntouched:
    'Objects that do not belong to swarmvirt, or belong to another cluster, stay unchanged byte for byte, whatever their names.',
  OtherLabelsKept: 'A write to an object of ours keeps every label of others with its current value.',
  DiskKept:
    'A disk that a guest has used is never replaced by an empty one: while it exists anywhere, no other disk is created for the VM.',
  NewestDisk: 'A VM never runs on an old copy of its disk while the disk itself exists.',
  LeaseHeld: 'No runner starts a QEMU without the lease of its VM.',
  GrantHeld: 'No runner starts a QEMU of a VM without a grant on its node.',
  LaunchKept: 'A guest has the NICs of its launch config.',
  SlotKept: 'The NIC of a network, and a disk, have the same PCI slot at each start of the VM.',
  GuestFiltered: 'No guest is started behind a TAP whose rules are for another MAC.',
  CrashWaited: 'A crashed VM is not started before its backoff is over, which doubles with each crash.',
  OrderlyEnd: 'A running guest loses its power only by a fault.',
  DiskReplaced: 'The name of a disk goes to another disk only while the lock of the first one is held.',
  RollbackKept: 'The objects in the previous spec of a service exist, so that a rollback can begin.',
  DiskDeleted:
    'A disk is only deleted by the uid of a removed VM whose record has deletionPolicy Delete, without a grant, by a process that holds its lock.',
  UidOnce: 'A VM gets one uid, once it has disks.',
  SeenVersion: 'Every update carries a version that this controller has read.',
  NothingWritten: 'Every write changes its object.',
  RemovalJustified:
    'An object is removed, or a grant revoked, only if the VM was in no source for the whole grace period and all sources were readable.',
  GrantRevoked: 'The record of a removed VM is not retained before its node revoked the grant.',
  HaltJustified: 'A VM is powered off only if its manifest says Halted.',
  RestartJustified: 'The template of a running VM is only written after somebody else changed it or restarted the VM.',
  LatchHeld: 'No write of a controller makes Swarm reject a running task.',
  DeclaredOnly: 'A service only ever gets values that a valid manifest declared.',
  IdentityKept: 'A service carries the uid of its placement record.',
  NothingTwice: 'No object is created twice for one VM.',
  ReadyProven:
    'A VM is Ready only for a generation that was written to the service, and while its guest was just seen on the LAN, unless it is behind NAT.',
  ObservedActed: 'observedGeneration is always a generation that was written to the service.',
  NoInternalError: 'No run ends with an internal error.',
  Converged: 'The declared state is reached within 60 seconds after the last fault.',
  Quiet: 'Nothing is written while the declared state is reached.',
} as const
export type InvariantName = keyof typeof invariants

export interface Violation {
  readonly invariant: InvariantName
  readonly message: string
}

/** An object of the Swarm as far as a judgement needs it. */
export interface Judged {
  readonly id: string
  readonly name: string
  readonly version: number
  readonly labels: Labels
  readonly spec?: RawSpec
  readonly data?: Uint8Array
}

/** One write that took hold: what it was made on, and what became of it. */
export interface Write {
  readonly call: string
  readonly before: Judged | undefined
  readonly after: Judged | undefined
  /** The version that was sent along; undefined where the call has none. */
  readonly version: number | undefined
  /** Versions of this object that the controller was ever given. */
  readonly seen: ReadonlySet<number>
  /** Tasks that Swarm rejected because of it. */
  readonly rejected: number
  readonly atMs: number
}

export interface Background {
  readonly truth: Truth
  /** Objects that never were ours, with or without forged labels: by id, in their original state. */
  readonly foreign: ReadonlyMap<string, string>
  readonly objectNow: (id: string) => string
  /** By VM: every uid of a placement record that was ever made. */
  readonly uids: Map<string, Set<string>>
  /** True if the judged write was allowed to change the template or label of the VM. */
  readonly liveContainers: (vm: string) => number
  /** A person removed its record when neither disk nor service was there: nobody can know the uid that it had. */
  readonly isForgotten: (vm: string) => boolean
  readonly recordUid: (vm: string) => string | undefined
  /** Its disks are going: what another controller made of it meanwhile goes too. */
  readonly isBeingDeleted: (vm: string) => boolean
  /**
   * The VM may be started on a node of the Swarm, and no node revoked that within the last seconds: another controller may have granted it
   * again.
   */
  readonly staysGranted: (uid: string) => boolean
  /** Launch configs and secrets that exist. */
  readonly objects: () => readonly Judged[]
}

type Law = (write: Write, background: Background) => Violation | undefined

/** All of them are asked after every write of a controller. */
export const laws: readonly Law[] = [
  foreignUntouched,
  otherLabelsKept,
  seenVersion,
  nothingWritten,
  removalJustified,
  grantRevoked,
  haltJustified,
  restartJustified,
  latchHeld,
  declaredOnly,
  identityKept,
  uidOnce,
  nothingTwice,
]

/** Byte for byte, whatever call it was; of a node only labels are ours. */
function foreignUntouched({ call, before, after }: Write, { foreign, objectNow }: Background): Violation | undefined {
  const invariant = 'ForeignUntouched'
  for (const [id, made] of foreign)
    if (objectNow(id) !== made) return { invariant, message: `${call} changed an object of somebody else: ${made} is now ${objectNow(id)}` }
  const owner = (before ?? after)?.labels[objectLabels.managedBy]
  if (call === 'updateNodeLabels') {
    const same = withoutLabels(before) === withoutLabels(after)
    return same ? undefined : { invariant, message: `${call} of ${before?.name} changed more than labels` }
  }
  if (before === undefined) return owner === managedBy ? undefined : { invariant, message: `${call} made ${after?.name} without an owner` }
  return owner === managedBy ? undefined : { invariant, message: `${call} of ${before.name}, which is not swarmvirt's` }
}

function withoutLabels(one: Judged | undefined): string {
  return canonicalJson({ ...one?.spec, Labels: null })
}

function isOurLabel(key: string): boolean {
  return key === nodeLabels.vmCapable || key.startsWith('swarmvirt.')
}

function otherLabelsKept({ call, before, after }: Write): Violation | undefined {
  if (before === undefined || after === undefined) return undefined
  const lost = Object.keys({ ...before.labels, ...after.labels }).filter(
    (key) => !isOurLabel(key) && before.labels[key] !== after.labels[key],
  )
  return lost.length === 0 ? undefined : { invariant: 'OtherLabelsKept', message: `${call} of ${before.name} changed ${lost.join(', ')}` }
}

function seenVersion({ call, before, version, seen }: Write): Violation | undefined {
  if (version === undefined || before === undefined || seen.has(version)) return undefined
  return { invariant: 'SeenVersion', message: `${call} of ${before.name} with version ${version}, which was never read` }
}

function nothingWritten({ call, before, after }: Write): Violation | undefined {
  if (before === undefined || after === undefined) return undefined
  const same = canonicalJson([before.labels, before.spec ?? null]) === canonicalJson([after.labels, after.spec ?? null])
  return same ? { invariant: 'NothingWritten', message: `${call} of ${before.name} changed nothing` } : undefined
}

function vmOfObject(one: Judged | undefined): string {
  return one?.labels[objectLabels.vm] ?? ''
}

function isRetaining({ before, after }: Write): boolean {
  return after?.labels[objectLabels.retainedAt] !== undefined && before?.labels[objectLabels.retainedAt] === undefined
}

function grantRevoked(write: Write, { staysGranted }: Background): Violation | undefined {
  const uid = write.after?.labels[objectLabels.uid]
  if (uid === undefined || !isRetaining(write) || !staysGranted(uid)) return undefined
  return { invariant: 'GrantRevoked', message: `the record of ${vmOfObject(write.after)} is retained, and its VM may still be started` }
}

function removalJustified(write: Write, { truth, isBeingDeleted }: Background): Violation | undefined {
  const { call, before, after, atMs } = write
  if (before === undefined) return undefined
  const isRetained = isRetaining(write)
  const isCondemned = after?.labels[objectLabels.deletingAt] !== undefined && before.labels[objectLabels.deletingAt] === undefined
  const isLate = call === 'removeService' && isBeingDeleted(vmOfObject(before))
  if ((call !== 'removeService' && !isRetained && !isCondemned) || isLate) return undefined
  const vm = vmOfObject(before) || before.name.replace(/^vm-/, '')
  if (isCondemned && truth.of(vm)?.vm?.spec.deletionPolicy !== 'Delete')
    return { invariant: 'DiskDeleted', message: `the disks of ${vm} are to be deleted, and its last manifest did not say so` }
  if (truth.mayBeRemoved(vm, atMs)) return undefined
  const one = truth.of(vm)
  const since = one?.absentSinceMs === undefined ? 'not absent' : `absent for ${atMs - one.absentSinceMs} ms`
  return { invariant: 'RemovalJustified', message: `${call} of ${before.name}, whose VM is ${one?.state ?? 'unknown'} (${since})` }
}

function haltJustified({ call, before, after, atMs }: Write, { truth }: Background): Violation | undefined {
  if (call !== 'updateService' || before?.spec === undefined || after?.spec === undefined) return undefined
  if (replicasOf(before.spec) === 0 || replicasOf(after.spec) > 0 || truth.mayBeHalted(vmOfObject(after), atMs)) return undefined
  return { invariant: 'HaltJustified', message: `${after.name} was scaled to 0` }
}

function restartJustified({ call, before, after }: Write, { truth, liveContainers }: Background): Violation | undefined {
  if (call !== 'updateService' || before?.spec === undefined || after?.spec === undefined) return undefined
  if (replicasOf(before.spec) === 0 || templateOf(before.spec) === templateOf(after.spec)) return undefined
  const vm = vmOfObject(after)
  const one = truth.of(vm)
  if (one !== undefined && one.restartsOwed > 0) {
    one.restartsOwed -= 1
    return undefined
  }
  if (liveContainers(vm) === 0 && replicasOf(after.spec) === 0) return undefined
  return {
    invariant: 'RestartJustified',
    message: `the template of ${after.name} was written, which restarts the VM, and nobody requested that`,
  }
}

function latchHeld({ call, before, rejected }: Write): Violation | undefined {
  if (rejected <= 0) return undefined
  return { invariant: 'LatchHeld', message: `${call} of ${before?.name ?? 'a new object'} made Swarm reject ${rejected} running task` }
}

function declaredOnly({ call, before, after }: Write, { truth }: Background): Violation | undefined {
  if (after === undefined || (call !== 'createService' && call !== 'updateService')) return undefined
  const generation = after.labels[objectLabels.generation] ?? ''
  const vm = vmOfObject(after)
  if (truth.of(vm)?.generations.has(generation) === true) return undefined
  return {
    invariant: 'DeclaredOnly',
    message: `${call} of ${before?.name ?? after.name} with generation ${generation}, which no manifest ever had`,
  }
}

function identityKept({ call, after }: Write, { recordUid }: Background): Violation | undefined {
  if (after === undefined || call !== 'createService') return undefined
  const uid = recordUid(vmOfObject(after))
  if (uid === undefined || uid === after.labels[objectLabels.uid]) return undefined
  return { invariant: 'IdentityKept', message: `${after.name} has uid ${after.labels[objectLabels.uid]}, and its record says ${uid}` }
}

function uidOnce({ call, before, after }: Write, { uids, isForgotten }: Background): Violation | undefined {
  // A VM without disks, or whose disks are being deleted, may get a new uid.
  const labels = before?.labels ?? {}
  const hasNoDisks = labels[objectLabels.deletingAt] !== undefined || labels[objectLabels.disksMade] === undefined
  if (call === 'removeConfig' && before !== undefined && hasNoDisks) uids.delete(vmOfObject(before))
  if (call !== 'createConfig' || after?.labels[objectLabels.component] !== 'placement') return undefined
  const { uid, vm } = JSON.parse(new TextDecoder().decode(after.data)) as { uid: string; vm: string }
  const known = isForgotten(vm) ? new Set<string>() : (uids.get(vm) ?? new Set())
  uids.set(vm, known.add(uid))
  return known.size === 1 ? undefined : { invariant: 'UidOnce', message: `${vm} has got the uids ${[...known].join(' and ')}` }
}

function nothingTwice({ call, after }: Write, { objects }: Background): Violation | undefined {
  if (after?.data === undefined || (call !== 'createConfig' && call !== 'createSecret')) return undefined
  const text = new TextDecoder().decode(after.data)
  const twins = objects().filter((one) => one.id !== after.id && one.data !== undefined && new TextDecoder().decode(one.data) === text)
  return twins.length === 0 ? undefined : { invariant: 'NothingTwice', message: `${after.name} holds the same as ${twins[0]?.name}` }
}

/** `startedMs`: when a controller began last. Which guests were powering off by then it cannot know: Swarm lists no task of them. */
export function oneWriter(taken: Container, others: readonly Container[], startedMs: number): Violation | undefined {
  const twin = others.find((one) => one.vm === taken.vm || one.uid === taken.uid)
  if (twin !== undefined)
    return {
      invariant: 'OneWriter',
      message: `${taken.vm} is run by ${twin.taskId} on ${twin.nodeId} and ${taken.taskId} on ${taken.nodeId}`,
    }
  const same = others.find((one) => one.endingMs >= startedMs && one.macs.some((mac) => taken.macs.includes(mac)))
  return same && { invariant: 'OneMac', message: `${taken.vm} and ${same.vm} have the same MAC, of ${taken.macs.join(', ')}` }
}

export function newestDisk({ uid, nodeId, vm }: Container, disks: readonly Disk[]): Violation | undefined {
  const ofVm = disks.filter((one) => one.uid === uid)
  const isOld = ofVm.some((one) => one.nodeId === nodeId && one.isCopy === true) && ofVm.some((one) => one.isCopy !== true)
  return isOld ? { invariant: 'NewestDisk', message: `${vm} runs on an old copy of its disk on ${nodeId}` } : undefined
}

/** The broker lets nobody start before who has the disk is gone, and who starts holds its lease. */
export function startedAlone(started: Container, others: readonly Container[]): Violation | undefined {
  const twin = others.find((one) => one.uid === started.uid && one.nodeId === started.nodeId)
  if (twin !== undefined)
    return { invariant: 'OneWriter', message: `${started.taskId} starts a QEMU of ${started.vm} beside that of ${twin.taskId}` }
  if (started.isLeased) return undefined
  return { invariant: 'LeaseHeld', message: `${started.taskId} starts a QEMU of ${started.vm}, and has lost its lease` }
}

export function startedRightly(
  { vm, uid, machine, macs, qemu }: Container,
  nowMs: number,
  dueMs: number,
  knowsGrants: boolean,
): Violation | undefined {
  const nics = qemu?.nics ?? []
  if (
    nics
      .map((one) => one.mac)
      .toSorted(byText)
      .join() !== [...macs].toSorted(byText).join()
  )
    return {
      invariant: 'LaunchKept',
      message: `${vm} starts with the MACs ${nics.map((one) => one.mac).join()}, and its launch config says ${macs.join()}`,
    }
  // A NIC behind NAT has no TAP.
  const open = nics.find(({ tap, mac }) => tap !== '' && machine.host.lockOf(tap) !== mac)
  if (open !== undefined)
    return {
      invariant: 'GuestFiltered',
      message: `${vm} starts, and ${open.tap} lets ${machine.host.lockOf(open.tap) ?? 'every MAC'} pass`,
    }
  if (knowsGrants && !machine.isGranted(uid))
    return { invariant: 'GrantHeld', message: `${vm} starts on ${machine.nodeId}, where it has no grant` }
  return nowMs + 20 < dueMs ? { invariant: 'CrashWaited', message: `${vm} starts ${dueMs - nowMs} ms before its wait is over` } : undefined
}

/** `known`: the slots so far, by TAP, whose name depends on the VM and its network, or by VM and disk. */
export function slotKept({ uid, vm, qemu }: Container, known: Map<string, string>): Violation | undefined {
  const nics = (qemu?.nics ?? []).map(({ tap, mac, slot }) => ({ device: tap === '' ? `${mac} behind NAT` : tap, slot }))
  const devices = [...nics, ...(qemu?.disks ?? []).map(({ name, slot }) => ({ device: `disk ${name} (${uid})`, slot }))]
  const moved = devices.find(({ device, slot }) => (known.get(device) ?? slot) !== slot)
  for (const { device, slot } of devices) known.set(device, slot)
  return moved && { invariant: 'SlotKept', message: `${moved.device} of ${vm} starts in PCI slot ${moved.slot}, which was another one` }
}

export function diskReplaced({ vm, name }: Disk, before: 'locked' | 'unlocked'): Violation | undefined {
  return before === 'locked'
    ? undefined
    : { invariant: 'DiskReplaced', message: `disk ${name} of ${vm} was replaced, and its lock was not held` }
}

export function diskDeleted(
  disk: Disk,
  { isLocked, isGranted }: Unlink,
  record: PlacementRecord | undefined,
  writers: readonly Container[],
): Violation | undefined {
  const invariant = 'DiskDeleted'
  if (record?.uid !== disk.uid || record.deletingAt === undefined)
    return { invariant, message: `the disk ${disk.uid} of ${disk.vm} was deleted, and no record of a removed VM says so` }
  if (isGranted) return { invariant, message: `the disk of ${disk.vm} was deleted while it has its grant` }
  if (!isLocked) return { invariant, message: `the disk of ${disk.vm} was deleted, and its lock was not held` }
  return writers.length === 0 ? undefined : { invariant, message: `the disk of ${disk.vm} was deleted under ${writers[0]?.taskId}` }
}

/** `started`: uids of VMs whose guest has run. */
export function diskKept(made: Disk, disks: readonly Disk[], started: ReadonlySet<VmUid>): Violation | undefined {
  const twin = disks.find((one) => (one.vm === made.vm || one.uid === made.uid) && one.name === made.name && started.has(one.uid))
  return twin && { invariant: 'DiskKept', message: `a disk of ${made.vm} was made on ${made.nodeId}, and it has one on ${twin.nodeId}` }
}

import { hashOf, sha256Hex } from '../../api/hash.ts'
import { cloudInitInstanceAnnotation } from '../../api/manifest/annotations.ts'
import { type Edit, editOf, orderChange } from '../../api/manifest/edits.ts'
import { cdromDrives, type VirtualMachine } from '../../api/manifest.ts'
import { memoryOverheadBytes, type OverheadSettings } from '../../api/memory-overhead.ts'
import { contentName, type VmUid } from '../../api/names.ts'
import { byText } from '../../api/order.ts'
import { formatBytes } from '../../api/quantity.ts'
import type { GrownDisk } from '../../api/wire/agent-api.ts'
import type { Firmware } from '../../api/wire/common.ts'
import type { LaunchConfig } from '../../api/wire/launch.ts'
import type { SwarmService } from '../../ports/swarm.ts'
import { firmwareOf, formerBridge, launchNicsOf } from '../shared/applied.ts'
import { diskLimits, downNetworks, memoryTargetMiB } from '../shared/live-part.ts'
import { runningShape, shapeOf } from '../shared/machine-shape.ts'
import { type Change, type Entry, type Path, shown } from './change.ts'
import { userPortChanges, userPortsOf } from './user-ports.ts'
import { dig, rawList, rawNumber, rawString } from '../shared/raw.ts'

/** The inputs in the manifest. */
export interface WantedVm {
  readonly cluster: string
  readonly vm: VirtualMachine
  readonly uid: VmUid
  /** Names of the existing disks, in boot order, if they are known: a VM never starts with a disk that its node has not created. */
  readonly disks?: readonly string[] | undefined
  /** Disks that are larger for the node than they were created. */
  readonly grown?: readonly GrownDisk[] | undefined
  /** The port of the node for `ssh: auto`, if it is known. */
  readonly sshPort?: number | undefined
  /** False for a VM whose runner does not read the live part. */
  readonly liveEdits?: boolean
}

/** The inputs in a service's current template. */
export interface RunningVm {
  readonly service: Pick<SwarmService, 'spec' | 'labels'>
  readonly launch: LaunchConfig
  readonly settings: OverheadSettings
}

interface RestartInput {
  readonly wanted: (manifest: WantedVm) => unknown
  readonly changes: (running: RunningVm, manifest: WantedVm) => readonly Change[]
}

/**
 * The manifest fields that apply at a restart, by their key in the restart hash: the path, the wanted value, the running value, and how a
 * difference is shown. Editing any of them restarts VMs. The hash and the edits that are shown both come from this table.
 *
 * The wanted value of a field that a later release adds must be undefined, and so absent from the hash, while the field has its default:
 * otherwise an upgrade restarts VMs. Where the service does not tell the running value, it is the wanted one.
 */
const restartInputs: Readonly<Record<string, RestartInput>> = {
  cores: input(
    ['spec', 'cpu', 'cores'],
    ({ vm }) => vm.spec.cpu.cores,
    ({ launch }) => launch.cores,
    shown,
  ),
  sockets: input(['spec', 'cpu', 'sockets'], severalSockets, ({ launch }) => launch.sockets, shown),
  threads: input(['spec', 'cpu', 'threads'], severalThreads, ({ launch }) => launch.threads, shown),
  cpuModel: input(
    ['spec', 'cpu', 'model'],
    ({ vm }) => vm.spec.cpu.model,
    ({ launch }) => launch.cpuModel,
    shown,
  ),
  firmware: { wanted: ({ vm }) => firmwareOf(vm), changes: ({ launch }, { vm }) => firmwareChanges(launch.firmware, firmwareOf(vm)) },
  memoryOverhead: input(
    ['spec', 'resources', 'memoryOverhead'],
    explicitOverhead,
    ({ launch }) => launch.memoryOverheadBytes,
    shownInBytes,
  ),
  cpuLimit: input(['spec', 'resources', 'cpuLimit'], ({ vm }) => vm.spec.resources?.cpuLimit ?? undefined, runningCpuLimit, shown),
  memory: input(['spec', 'memory'], ({ vm }) => vm.spec.memory, runningMemory, shownInBytes),
  accelerator: input(
    ['spec', 'accelerator'],
    ({ vm }) => vm.spec.accelerator,
    ({ launch }) => launch.accelerator,
    shown,
  ),
  disks: { wanted: diskNames, changes: diskChanges },
  cdroms: { wanted: cdromNames, changes: cdromChanges },
  scsiDisks: { wanted: scsiDisks, changes: busChanges },
  readOnlyDisks: { wanted: readOnlyDisks, changes: readOnlyChanges },
  nics: input(['spec', 'networks'], (manifest) => wantedNics(manifest).map(nicEntry), runningNics, shownAsList),
  userPorts: {
    wanted: (manifest) => userPortsOf(wantedNics(manifest)),
    changes: ({ launch }, manifest) => userPortChanges(launch.nics, wantedNics(manifest)),
  },
  ipv4: {
    wanted: ({ vm }) => staticNetworks(vm),
    changes: ({ launch }, { vm }) =>
      vm.spec.networks.flatMap(({ name, ipv4 }, index) => {
        const path = ['spec', 'networks', index, 'ipv4']
        const before = launch.cloudInit.networks?.find((one) => one.name === name)
        return [
          ...shown([...path, 'address'], before?.address, ipv4?.address),
          ...shown([...path, 'gateway'], before?.gateway, ipv4?.gateway),
          ...shown([...path, 'nameservers'], before?.nameservers.join(' ') || undefined, ipv4?.nameservers.join(' ') || undefined),
        ]
      }),
  },
  vnc: input(
    ['spec', 'console', 'vnc'],
    ({ vm }) => vm.spec.console?.vnc || undefined,
    ({ launch }) => launch.vnc,
    (path, from, to) => shown(path, from?.toString(), to?.toString()),
  ),
  watchdog: input(
    ['spec', 'watchdog', 'action'],
    ({ vm }) => vm.spec.watchdog?.action,
    ({ launch }) => launch.watchdog,
    shown,
  ),
  terminationGracePeriod: {
    // By what the runner gets: two spellings of one duration are no edit.
    wanted: ({ vm }) => (powerOffTimeoutS(vm) === defaultPowerOffTimeoutS ? undefined : powerOffTimeoutS(vm)),
    changes: ({ launch }, { vm }) => {
      const [from, to] = [launch.powerOffTimeoutS, powerOffTimeoutS(vm)]
      return from === to ? [] : [[['spec', 'terminationGracePeriod'], `${from}s`, `${to}s`]]
    },
  },
  cloudInitInstance: input(
    ['metadata', 'annotations', cloudInitInstanceAnnotation],
    ({ vm }) => vm.metadata.annotations[cloudInitInstanceAnnotation],
    ({ launch: { uid, cloudInit } }) => (cloudInit.instanceId === uid ? undefined : cloudInit.instanceId.slice(uid.length + 1)),
    shown,
  ),
  sshAuthorizedKeys: input(
    ['spec', 'cloudInit', 'sshAuthorizedKeys'],
    ({ vm }) => vm.spec.cloudInit.sshAuthorizedKeys,
    ({ launch }) => launch.cloudInit.sshAuthorizedKeys,
    hidden,
  ),
  userData: secretInput('userData', 'userdata'),
  networkData: secretInput('networkData', 'networkdata'),
}

/** The default, as in release 0.1. */
const defaultPowerOffTimeoutS = 110

/** Seconds after which the runner forces the guest off. */
export function powerOffTimeoutS({ spec }: VirtualMachine): number {
  return spec.terminationGracePeriod === undefined ? defaultPowerOffTimeoutS : Math.ceil(spec.terminationGracePeriod / 1_000)
}

/**
 * The fields that a running VM takes. They count only for a VM whose runner does not read the live part: it was started by release 0.1, with every
 * one of them at its default. The launch config has none of them.
 */
const liveInputs: Readonly<Record<string, RestartInput>> = {
  grownDisks: { wanted: grownSizes, changes: sizeChanges },
  downNetworks: {
    wanted: ({ vm }) => downNetworks(vm.spec),
    changes: (_running, { vm }) =>
      vm.spec.networks.flatMap(({ state }, index) =>
        shown(['spec', 'networks', index, 'state'], undefined, state === 'down' ? state : undefined),
      ),
  },
  diskLimits: {
    wanted: ({ vm }) => diskLimits(vm.spec),
    changes: (_running, { vm }) =>
      vm.spec.disks.flatMap(({ limits }, index) => {
        const path = ['spec', 'disks', index, 'limits']
        const bandwidth = limits?.bandwidth === undefined ? undefined : formatBytes(limits.bandwidth)
        return [...shown([...path, 'iops'], undefined, limits?.iops), ...shown([...path, 'bandwidth'], undefined, bandwidth)]
      }),
  },
  memoryTarget: {
    wanted: ({ vm }) => memoryTargetMiB(vm.spec),
    changes: (_running, { vm }) =>
      memoryTargetMiB(vm.spec) === undefined ? [] : shown(['spec', 'memoryTarget'], undefined, formatBytes(vm.spec.memoryTarget ?? 0)),
  },
}

/** Undefined if all networks use DHCP. */
export function staticNetworks({ spec }: VirtualMachine): LaunchConfig['cloudInit']['networks'] {
  const found = spec.networks.flatMap(({ name, ipv4 }) => (ipv4 === undefined ? [] : [{ name, ...ipv4 }]))
  return found.length === 0 ? undefined : found
}

/** A release that renders differently does not change it. */
export function restartHash(manifest: WantedVm): string {
  const inputs = manifest.liveEdits === false ? { ...restartInputs, ...liveInputs } : restartInputs
  return hashOf(Object.fromEntries(Object.entries(inputs).map(([key, { wanted }]) => [key, wanted(manifest)])))
}

/** The edits since the VM started, by manifest field. Never contains secrets. */
export function editsBetween(running: RunningVm, manifest: WantedVm): readonly Edit[] {
  const changes = Object.values(restartInputs).flatMap((one) => one.changes(running, manifest))
  const late = running.launch.liveEdits === true ? [] : Object.values(liveInputs).flatMap((one) => one.changes(running, manifest))
  return [
    ...changes.map(([path, from, to]) => editOf(manifest.vm, path, from, to)),
    ...late.map(([path, from, to]): Edit => ({ ...editOf(manifest.vm, path, from, to), effect: 'restart' })),
  ]
}

/** Which disks the VM starts with. The node decides whether a new name may replace a disk (disk-edits.ts). */
function diskChanges({ launch }: RunningVm, manifest: WantedVm): readonly Change[] {
  const [from, to] = [launch.disks.map(({ name }) => name), diskNames(manifest)]
  const [added, removed] = [to.filter((name) => !from.includes(name)), from.filter((name) => !to.includes(name))]
  const { disks } = manifest.vm.spec
  const placeOf = (name: string): number => {
    const inManifest = disks.findIndex((one) => one.name === name)
    return inManifest < 0 ? to.indexOf(name) : inManifest
  }
  const end = Math.max(to.length, disks.length)
  return [
    ...added.flatMap((name) => shown(['spec', 'disks', placeOf(name), 'name'], undefined, name)),
    ...removed.flatMap((name, index) => shown(['spec', 'disks', end + index, 'name'], name, undefined)),
    ...orderChange(from, to).map(([old, now]): Change => [['spec', 'disks'], old, now]),
  ]
}

function input<Value>(
  path: Path,
  wanted: (manifest: WantedVm) => Value,
  runningValue: (running: RunningVm, manifest: WantedVm) => Value,
  show: (path: Path, from: Value, to: Value) => readonly Change[],
): RestartInput {
  return { wanted, changes: (running, manifest) => show(path, runningValue(running, manifest), wanted(manifest)) }
}

const mebibyte = 1024 ** 2

/** Field by field; an absent one has its default. */
function firmwareChanges(from: Firmware | undefined, to: Firmware | undefined): readonly Change[] {
  const path = ['spec', 'firmware']
  const isOn = (value: true | undefined): string | undefined => (value === true ? 'true' : undefined)
  return [
    ...shown([...path, 'mode'], from?.mode ?? 'bios', to?.mode ?? 'bios'),
    ...shown([...path, 'secureBoot'], isOn(from?.secureBoot), isOn(to?.secureBoot)),
    ...shown([...path, 'tpm'], isOn(from?.tpm), isOn(to?.tpm)),
    ...(['image', 'initrd', 'args'] as const).flatMap((key) => shown([...path, 'kernel', key], from?.kernel?.[key], to?.kernel?.[key])),
  ]
}

/** Undefined for one socket. */
export function severalSockets({ vm }: WantedVm): number | undefined {
  const { sockets = 1 } = vm.spec.cpu
  return sockets === 1 ? undefined : sockets
}

/** Undefined for one thread. */
export function severalThreads({ vm }: WantedVm): number | undefined {
  const { threads = 1 } = vm.spec.cpu
  return threads === 1 ? undefined : threads
}

/** Undefined for `auto`. */
export function explicitOverhead({ vm }: WantedVm): number | undefined {
  return shapeOf(vm).memoryOverheadBytes
}

function runningCpuLimit({ service }: RunningVm): number | undefined {
  const nano = rawNumber(dig(service.spec, 'TaskTemplate', 'Resources', 'Limits', 'NanoCPUs'))
  return nano === undefined || nano === 0 ? undefined : nano / 1_000_000_000
}

/** Only the template's limit has the exact bytes, but the overhead setting or the limit itself may have changed since. */
function runningMemory({ service, launch, settings }: RunningVm, { vm }: WantedVm): number {
  const limit = rawNumber(dig(service.spec, 'TaskTemplate', 'Resources', 'Limits', 'MemoryBytes')) ?? 0
  const possible = [limit - memoryOverheadBytes(runningShape(launch, vm), settings), vm.spec.memory]
  return possible.find((bytes) => Math.floor(bytes / mebibyte) === launch.memoryMiB) ?? launch.memoryMiB * mebibyte
}

export function diskNames({ vm, disks }: WantedVm): readonly string[] {
  return disks ?? vm.spec.disks.map(({ name }) => name)
}

/** Undefined if there are none. The disc of a drive is in the live part. */
export function cdromNames(manifest: WantedVm): readonly string[] | undefined {
  const existing = diskNames(manifest)
  const names = cdromDrives(manifest.vm.spec).flatMap(({ name }) => (existing.includes(name) ? name : []))
  return names.length === 0 ? undefined : names.toSorted(byText)
}

/** Only for a name that stays: a drive that is added or removed is shown by its name. */
function cdromChanges({ launch }: RunningVm, manifest: WantedVm): readonly Change[] {
  const wanted = cdromNames(manifest) ?? []
  return manifest.vm.spec.disks.flatMap(({ name }, index) => {
    const running = launch.disks.find((one) => one.name === name)
    const [was, is] = [running?.cdrom !== undefined, wanted.includes(name)]
    return running === undefined ? [] : shown(['spec', 'disks', index, 'cdrom'], was ? 'sata' : undefined, is ? 'sata' : undefined)
  })
}

/** Undefined if there are none. */
export function readOnlyDisks(manifest: WantedVm): readonly string[] | undefined {
  const existing = diskNames(manifest)
  const names = manifest.vm.spec.disks.flatMap(({ name, readOnly }) => (readOnly === true && existing.includes(name) ? name : []))
  return names.length === 0 ? undefined : names.toSorted(byText)
}

/** Undefined if there are none. */
export function scsiDisks(manifest: WantedVm): readonly string[] | undefined {
  const existing = diskNames(manifest)
  const names = manifest.vm.spec.disks.flatMap(({ name, bus }) => (bus === 'scsi' && existing.includes(name) ? name : []))
  return names.length === 0 ? undefined : names.toSorted(byText)
}

function busChanges({ launch }: RunningVm, manifest: WantedVm): readonly Change[] {
  const wanted = scsiDisks(manifest) ?? []
  return manifest.vm.spec.disks.flatMap(({ name }, index) => {
    const running = launch.disks.find((one) => one.name === name)
    if (running === undefined) return []
    return shown(['spec', 'disks', index, 'bus'], running.bus ?? 'virtio', wanted.includes(name) ? 'scsi' : 'virtio')
  })
}

function readOnlyChanges({ launch }: RunningVm, manifest: WantedVm): readonly Change[] {
  const wanted = readOnlyDisks(manifest) ?? []
  return manifest.vm.spec.disks.flatMap(({ name }, index) => {
    const isReadOnly = launch.disks.some((one) => one.name === name && one.readOnly === true)
    return shown(['spec', 'disks', index, 'readOnly'], isReadOnly ? 'true' : undefined, wanted.includes(name) ? 'true' : undefined)
  })
}

/** Sizes by disk; undefined if none has grown. */
export function grownSizes(manifest: WantedVm): Readonly<Record<string, number>> | undefined {
  const names = diskNames(manifest)
  const grown = (manifest.grown ?? []).filter(({ name }) => names.includes(name))
  return grown.length === 0 ? undefined : Object.fromEntries(grown.map(({ name, sizeBytes }) => [name, sizeBytes]))
}

/** A disk that runs without a size has the one that it was created with. One that has not grown for the node has its size from the manifest. */
function sizeChanges({ launch }: RunningVm, { vm, grown = [] }: WantedVm): readonly Change[] {
  return vm.spec.disks.flatMap(({ name, size }, index) => {
    if (size === undefined) return []
    const [running, wanted] = [launch.disks.find((one) => one.name === name), grown.find((one) => one.name === name)]
    const before = running && wanted?.createdBytes
    return before === undefined ? [] : shownInBytes(['spec', 'disks', index, 'size'], before, wanted?.sizeBytes ?? size)
  })
}

function wantedNics({ cluster, vm, sshPort }: WantedVm): LaunchConfig['nics'] {
  return launchNicsOf(cluster, vm, sshPort)
}

/** Ports behind NAT are an input of their own. Fields inside `direct` are named as in the manifest. */
function nicEntry({ direct, user: _user, ...nic }: LaunchConfig['nics'][number]): Entry {
  return { ...nic, ...(direct === undefined ? {} : { 'direct.device': direct.device, 'direct.mode': direct.mode }) }
}

/** The launch config of release 0.1 names no bridge. */
function runningNics({ service, launch }: RunningVm, { vm }: WantedVm): readonly Entry[] {
  return launch.nics.map((nic, index) => {
    if (nic.direct !== undefined || nic.user !== undefined) return nicEntry(nic)
    const bridge = nic.bridge ?? formerBridge(service) ?? vm.spec.networks[index]?.bridge
    return { ...nicEntry(nic), bridge }
  })
}

/** The name of the secret identifies the content, because it contains a hash of it. */
function secretInput(key: 'userData' | 'networkData', file: 'userdata' | 'networkdata'): RestartInput {
  const wanted = ({ vm }: WantedVm): string | undefined => {
    const text = vm.spec.cloudInit[key]
    return text === undefined ? undefined : sha256Hex(text)
  }
  const running = ({ service }: RunningVm, manifest: WantedVm): string | undefined => {
    const secrets = rawList(dig(service.spec, 'TaskTemplate', 'ContainerSpec', 'Secrets'))
    const name = rawString(
      dig(
        secrets.find((one) => dig(one, 'File', 'Name') === file),
        'SecretName',
      ),
    )
    const text = manifest.vm.spec.cloudInit[key]
    return text !== undefined && name === contentName(file, manifest.uid, text) ? wanted(manifest) : name
  }
  return input(['spec', 'cloudInit', key], wanted, running, hidden)
}

/** In bytes where two sizes would look the same. */
function shownInBytes(path: Path, from: number | undefined, to: number | undefined): readonly Change[] {
  if (from === undefined || to === undefined) return shown(path, from && formatBytes(from), to && formatBytes(to))
  const inBytes = formatBytes(from) === formatBytes(to)
  const [old, now] = [from, to].map((bytes) => (inBytes ? `${bytes} B` : formatBytes(bytes)))
  return shown(path, old, now)
}

/** Entry by entry, in the order in which the guest sees them. */
function shownAsList(path: Path, from: readonly Entry[], to: readonly Entry[]): readonly Change[] {
  return Array.from({ length: Math.max(from.length, to.length) }).flatMap((_, index) => {
    const [old, now] = [from[index] ?? {}, to[index] ?? {}]
    const keys = new Set([...Object.keys(old), ...Object.keys(now)])
    return [...keys].flatMap((key) => shown([...path, index, ...key.split('.')], old[key], now[key]))
  })
}

/** Keys and secrets: only that they changed. */
function hidden(path: Path, from: unknown, to: unknown): readonly Change[] {
  return JSON.stringify(from) === JSON.stringify(to) ? [] : [[path, undefined, undefined]]
}

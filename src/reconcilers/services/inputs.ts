import { canonicalJson } from '../../api/hash.ts'
import { cloudInitInstanceAnnotation } from '../../api/manifest/annotations.ts'
import { contentName, type VmUid } from '../../api/names.ts'
import type { MachineShape } from '../../api/memory-overhead.ts'
import {
  demandingVersion,
  type ForwardedPort,
  type LaunchConfig,
  type LaunchNeed,
  launchNeeds,
  launchVersion,
} from '../../api/wire/launch.ts'
import { firmwareOf, launchNicsOf, portsIn } from '../shared/applied.ts'
import { shapeOf } from '../shared/machine-shape.ts'
import {
  cdromNames,
  diskNames,
  explicitOverhead,
  grownSizes,
  powerOffTimeoutS,
  readOnlyDisks,
  restartHash,
  scsiDisks,
  severalSockets,
  severalThreads,
  staticNetworks,
  type WantedVm,
} from './restart-inputs.ts'

/** Swarm kills the task this much later. Until then QEMU flushes its disks. */
const killAfterS = 10

/** The part of a manifest that a VM's service is rendered from. */
export interface Inputs {
  readonly uid: VmUid
  /** Guest memory, without overhead. */
  readonly memoryBytes: number
  readonly shape: MachineShape
  /** CPUs of the node that the task may use. */
  readonly cpuLimit: number | undefined
  /** The launch config as canonical JSON, and the name of its Swarm config. */
  readonly launchText: string
  readonly launchName: string
  readonly stopGraceS: number
  /** Each becomes a Swarm secret, mounted as `file`. */
  readonly secrets: readonly SecretInput[]
  /** It has a NIC behind NAT. */
  readonly userNetwork: boolean
  readonly ports: readonly ForwardedPort[]
  readonly hash: string
}

export function inputsOf(wanted: WantedVm): Inputs {
  const { vm, uid } = wanted
  const launch = launchOf(wanted)
  const launchText = canonicalJson(launch)
  const { userData, networkData } = vm.spec.cloudInit
  return {
    uid,
    memoryBytes: vm.spec.memory,
    shape: shapeOf(vm),
    cpuLimit: vm.spec.resources?.cpuLimit ?? undefined,
    launchText,
    stopGraceS: powerOffTimeoutS(vm) + killAfterS,
    launchName: contentName('launch', uid, launchText),
    secrets: [...secretOf('userdata', uid, userData), ...secretOf('networkdata', uid, networkData)],
    userNetwork: launch.nics.some(({ user }) => user !== undefined),
    ports: portsIn(launch),
    hash: restartHash({ ...wanted, liveEdits: true }),
  }
}

interface SecretInput {
  readonly file: 'userdata' | 'networkdata'
  readonly text: string
  readonly name: string
}

function secretOf(file: SecretInput['file'], uid: VmUid, text: string | undefined): SecretInput[] {
  return text === undefined ? [] : [{ file, text, name: contentName(file, uid, text) }]
}

function launchDisks(wanted: WantedVm): LaunchConfig['disks'] {
  const [readOnly, scsi, cdroms] = [readOnlyDisks(wanted) ?? [], scsiDisks(wanted) ?? [], cdromNames(wanted) ?? []]
  return diskNames(wanted).map((name) => ({
    name,
    ...(readOnly.includes(name) ? { readOnly: true as const } : {}),
    ...(scsi.includes(name) ? { bus: 'scsi' as const } : {}),
    ...(cdroms.includes(name) ? { cdrom: { bus: 'sata' as const } } : {}),
  }))
}

/** The parts of the launch config that release 0.1 would ignore, and start something else. */
function needsOf(wanted: WantedVm): LaunchNeed[] {
  const { cpu, console, watchdog } = wanted.vm.spec
  const needs: Readonly<Record<LaunchNeed, boolean>> = {
    cpu: (severalSockets(wanted) ?? severalThreads(wanted) ?? cpu.model) !== undefined,
    devices: console?.vnc === true || watchdog !== undefined,
    firmware: firmwareOf(wanted.vm) !== undefined,
    scsi: scsiDisks(wanted) !== undefined,
    readOnlyDisks: readOnlyDisks(wanted) !== undefined,
    diskSizes: grownSizes(wanted) !== undefined,
    userNetworks: wanted.vm.spec.networks.some(({ user }) => user !== undefined),
    networkData: wanted.vm.spec.cloudInit.networkData !== undefined,
    staticAddresses: staticNetworks(wanted.vm) !== undefined,
  }
  return launchNeeds.filter((one) => needs[one])
}

function launchOf(wanted: WantedVm): LaunchConfig {
  const { cluster, vm, uid } = wanted
  const { cpu, memory, accelerator, cloudInit, console, watchdog } = vm.spec
  const instance = vm.metadata.annotations[cloudInitInstanceAnnotation]
  const needs = needsOf(wanted)
  return {
    ...(needs.length === 0 ? { version: launchVersion } : { version: demandingVersion, needs }),
    uid,
    vm: vm.metadata.name,
    cores: cpu.cores,
    sockets: severalSockets(wanted),
    threads: severalThreads(wanted),
    cpuModel: cpu.model,
    memoryMiB: Math.floor(memory / 1024 ** 2),
    memoryOverheadBytes: explicitOverhead(wanted),
    firmware: firmwareOf(vm),
    accelerator,
    disks: launchDisks(wanted),
    nics: launchNicsOf(cluster, vm, wanted.sshPort),
    cloudInit: {
      instanceId: instance === undefined ? uid : `${uid}-${instance}`,
      hostname: vm.metadata.name,
      sshAuthorizedKeys: cloudInit.sshAuthorizedKeys,
      networks: staticNetworks(vm),
      hasUserData: cloudInit.userData !== undefined,
      ...(cloudInit.networkData === undefined ? {} : { hasNetworkData: true as const }),
    },
    liveEdits: true,
    ...(console?.vnc ? { vnc: true } : {}),
    ...(watchdog === undefined ? {} : { watchdog: watchdog.action }),
    powerOffTimeoutS: powerOffTimeoutS(vm),
  }
}

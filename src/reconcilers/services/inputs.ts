import { canonicalJson } from '../../api/hash.ts'
import { cloudInitInstanceAnnotation } from '../../api/manifest/annotations.ts'
import { contentName, type VmUid } from '../../api/names.ts'
import { type LaunchConfig, launchVersion } from '../../api/wire/launch.ts'
import { launchNicsOf } from '../shared/applied.ts'
import { diskNames, grownSizes, readOnlyDisks, restartHash, staticNetworks, type WantedVm } from './restart-inputs.ts'

/** The runner forces the guest off this long after it presses the power button; Swarm kills the task 10 s later. */
const powerOffTimeoutS = 110
export const stopGraceS = 120

/** The part of a manifest that a VM's service is rendered from. */
export interface Inputs {
  readonly uid: VmUid
  /** Guest memory, without overhead. */
  readonly memoryBytes: number
  /** The launch config as canonical JSON, and the name of its Swarm config. */
  readonly launchText: string
  readonly launchName: string
  readonly userData: { readonly text: string; readonly name: string } | undefined
  readonly hash: string
}

export function inputsOf(wanted: WantedVm): Inputs {
  const { vm, uid } = wanted
  const launchText = canonicalJson(launchOf(wanted))
  const text = vm.spec.cloudInit.userData
  return {
    uid,
    memoryBytes: vm.spec.memory,
    launchText,
    launchName: contentName('launch', uid, launchText),
    userData: text === undefined ? undefined : { text, name: contentName('userdata', uid, text) },
    hash: restartHash(wanted),
  }
}

function launchDisks(wanted: WantedVm): LaunchConfig['disks'] {
  const [readOnly, sizes] = [readOnlyDisks(wanted) ?? [], grownSizes(wanted) ?? {}]
  return diskNames(wanted).map((name) => ({
    name,
    ...(readOnly.includes(name) ? { readOnly: true as const } : {}),
    ...(sizes[name] === undefined ? {} : { sizeBytes: sizes[name] }),
  }))
}

function launchOf(wanted: WantedVm): LaunchConfig {
  const { cluster, vm, uid } = wanted
  const { cpu, memory, accelerator, cloudInit } = vm.spec
  const instance = vm.metadata.annotations[cloudInitInstanceAnnotation]
  return {
    version: launchVersion,
    uid,
    vm: vm.metadata.name,
    cores: cpu.cores,
    memoryMiB: Math.floor(memory / 1024 ** 2),
    accelerator,
    disks: launchDisks(wanted),
    nics: launchNicsOf(cluster, vm),
    cloudInit: {
      instanceId: instance === undefined ? uid : `${uid}-${instance}`,
      hostname: vm.metadata.name,
      sshAuthorizedKeys: cloudInit.sshAuthorizedKeys,
      networks: staticNetworks(vm),
      hasUserData: cloudInit.userData !== undefined,
    },
    powerOffTimeoutS,
  }
}

import { canonicalJson, hashOf, sha256Hex } from '../../api/hash.ts'
import { cloudInitInstanceAnnotation } from '../../api/manifest/annotations.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import { contentName, type VmUid } from '../../api/names.ts'
import { type LaunchConfig, launchVersion } from '../../api/wire/launch.ts'
import { nicsOf } from '../shared/nics.ts'

/** The runner forces the guest off this long after it presses the power button; Swarm kills the task 10 s later. */
const powerOffTimeoutS = 110
export const stopGraceS = 120

/** The part of a manifest that a VM's service is rendered from. */
export interface Inputs {
  readonly uid: VmUid
  readonly bridges: readonly string[]
  /** Guest memory, without overhead. */
  readonly memoryBytes: number
  readonly launch: LaunchConfig
  /** Canonical JSON of `launch`, and the name of its Swarm config. */
  readonly launchText: string
  readonly launchName: string
  readonly userData: { readonly text: string; readonly name: string } | undefined
  /** Hash of the manifest fields that apply at a restart. A release that renders differently does not change it. */
  readonly hash: string
}

/** `disks` are the names of the existing disks, in boot order: a VM never starts with a disk that its node has not created. */
export function inputsOf(cluster: string, vm: VirtualMachine, uid: VmUid, disks: readonly string[] = diskNames(vm)): Inputs {
  const launch = launchOf(cluster, vm, uid, disks)
  const launchText = canonicalJson(launch)
  const { memory, cloudInit } = vm.spec
  const bridges = [...new Set(vm.spec.networks.map((one) => one.bridge))]
  const userData =
    cloudInit.userData === undefined ? undefined : { text: cloudInit.userData, name: contentName('userdata', uid, cloudInit.userData) }
  return {
    uid,
    bridges,
    memoryBytes: memory,
    launch,
    launchText,
    launchName: contentName('launch', uid, launchText),
    userData,
    hash: inputsHash(cluster, vm, disks),
  }
}

function diskNames(vm: VirtualMachine): readonly string[] {
  return vm.spec.disks.map((one) => one.name)
}

/** Lists the fields one by one: editing any of them restarts VMs. A field that a later release adds must be absent while it is unused. */
function inputsHash(cluster: string, vm: VirtualMachine, disks: readonly string[]): string {
  const { cpu, memory, accelerator, cloudInit } = vm.spec
  return hashOf({
    cores: cpu.cores,
    memory,
    accelerator,
    disks,
    nics: nicsOf(cluster, vm).map(({ name, bridge, mac }) => ({ name, bridge, mac })),
    sshAuthorizedKeys: cloudInit.sshAuthorizedKeys,
    userData: cloudInit.userData === undefined ? undefined : sha256Hex(cloudInit.userData),
    cloudInitInstance: vm.metadata.annotations[cloudInitInstanceAnnotation],
  })
}

function launchOf(cluster: string, vm: VirtualMachine, uid: VmUid, disks: readonly string[]): LaunchConfig {
  const instance = vm.metadata.annotations[cloudInitInstanceAnnotation]
  const { cpu, memory, accelerator, cloudInit } = vm.spec
  return {
    version: launchVersion,
    uid,
    vm: vm.metadata.name,
    cores: cpu.cores,
    memoryMiB: Math.floor(memory / 1024 ** 2),
    accelerator,
    disks: disks.map((name) => ({ name })),
    nics: nicsOf(cluster, vm).map(({ name, mac, bridge }) => ({ name, mac, bridge })),
    cloudInit: {
      instanceId: instance === undefined ? uid : `${uid}-${instance}`,
      hostname: vm.metadata.name,
      sshAuthorizedKeys: cloudInit.sshAuthorizedKeys,
      hasUserData: cloudInit.userData !== undefined,
    },
    powerOffTimeoutS,
  }
}

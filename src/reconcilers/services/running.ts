import type { MachineInputs } from '../../api/manifest/edits.ts'
import type { Mac } from '../../api/mac.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import { nodeLabels } from '../../api/labels.ts'
import { type LaunchConfig, launchConfig } from '../../api/wire/launch.ts'
import type { SwarmConfig, SwarmService } from '../../ports/swarm.ts'
import { dig, rawList, rawNumber, rawString } from '../shared/raw.ts'
import { labelConstraints, launchConfigName } from '../shared/vm-service.ts'
import type { Inputs } from './inputs.ts'

const mebibyte = 1024 ** 2

/** What a service's template starts; undefined where its launch config is not there or of a release that we do not know. */
export function runningInputs(
  service: SwarmService,
  configs: readonly SwarmConfig[],
  memoryOverheadMiB: number,
): MachineInputs | undefined {
  const launch = launchOf(service, configs)
  if (launch === undefined) return undefined
  const limit = rawNumber(dig(service.spec, 'TaskTemplate', 'Resources', 'Limits', 'MemoryBytes'))
  const guest = (limit ?? 0) - memoryOverheadMiB * mebibyte
  return {
    ...fromLaunch(launch),
    // The limit has the bytes; it was made with the overhead of its time, and a person may have changed it.
    memoryBytes: Math.floor(guest / mebibyte) === launch.memoryMiB ? guest : undefined,
    bridges: bridgesOf(service),
    userData: userDataName(service),
    fromClass: undefined,
  }
}

export function wantedInputs(inputs: Inputs, vm: VirtualMachine): MachineInputs {
  const { class: name } = vm.spec
  return {
    ...fromLaunch(inputs.launch),
    memoryBytes: inputs.memoryBytes,
    bridges: inputs.bridges,
    userData: inputs.userData?.name,
    fromClass: name === undefined ? undefined : { name, paths: vm.fromClass ?? [] },
  }
}

function fromLaunch(
  launch: LaunchConfig,
): Pick<MachineInputs, 'cores' | 'memoryMiB' | 'accelerator' | 'disks' | 'networks' | 'sshAuthorizedKeys'> {
  return {
    cores: launch.cores,
    memoryMiB: launch.memoryMiB,
    accelerator: launch.accelerator,
    disks: launch.disks.map((one) => one.name),
    networks: launch.nics.map(({ name, mac }) => ({ name, mac })),
    sshAuthorizedKeys: launch.cloudInit.sshAuthorizedKeys,
  }
}

function launchOf(service: SwarmService, configs: readonly SwarmConfig[]): LaunchConfig | undefined {
  const name = launchConfigName(service)
  const config = configs.find((one) => one.name === name)
  return config && launchIn(config)
}

function launchIn({ data }: SwarmConfig): LaunchConfig | undefined {
  return launchConfig.safeParse(parseJson(new TextDecoder().decode(data))).data
}

/** The MACs that a service's template starts its guest with; undefined where its launch config is not among these, by their names, or cannot be read. */
export function launchedMacs(service: Pick<SwarmService, 'spec'>, configs: ReadonlyMap<string, SwarmConfig>): readonly Mac[] | undefined {
  const config = configs.get(launchConfigName(service) ?? '')
  if (config === undefined) return undefined
  const macs = macsRead.get(config.data) ?? launchIn(config)?.nics.map(({ mac }) => mac)
  if (macs !== undefined) macsRead.set(config.data, macs)
  return macs
}

/** By the bytes, which never change: all services are looked at again and again. */
const macsRead = new WeakMap<Uint8Array, readonly Mac[]>()

/** Its name is made of its content. */
function userDataName(service: SwarmService): string | undefined {
  return rawString(dig(rawList(dig(service.spec, 'TaskTemplate', 'ContainerSpec', 'Secrets'))[0], 'SecretName'))
}

function bridgesOf(service: SwarmService): string[] {
  const { bridgePrefix } = nodeLabels
  return labelConstraints(service).flatMap(({ label }) => (label.startsWith(bridgePrefix) ? [label.slice(bridgePrefix.length)] : []))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

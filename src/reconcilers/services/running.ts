import type { MachineInputs } from '../../api/manifest/edits.ts'
import type { Mac } from '../../api/mac.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { LaunchConfig } from '../../api/wire/launch.ts'
import type { SwarmConfig, SwarmService } from '../../ports/swarm.ts'
import { formerBridge, launchIn, launchOf } from '../shared/applied.ts'
import { dig, rawList, rawNumber, rawString } from '../shared/raw.ts'
import { launchConfigName } from '../shared/vm-service.ts'
import type { Inputs } from './inputs.ts'

const mebibyte = 1024 ** 2

/** The inputs of a service's current template; undefined if its launch config is missing or of an unknown version. */
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
    // Only the limit has the exact bytes, but the overhead setting or the limit itself may have changed since.
    memoryBytes: Math.floor(guest / mebibyte) === launch.memoryMiB ? guest : undefined,
    bridges: bridgesOf(launch, formerBridge(service)),
    userData: userDataName(service),
    fromClass: undefined,
  }
}

/** Undefined if neither the launch config nor the service has the bridges. */
function bridgesOf({ nics }: LaunchConfig, former: string | undefined): readonly string[] | undefined {
  const bridges = nics.flatMap(({ bridge = former }) => bridge ?? [])
  return bridges.length < nics.length ? undefined : [...new Set(bridges)]
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
): Pick<MachineInputs, 'cores' | 'memoryMiB' | 'accelerator' | 'disks' | 'networks' | 'sshAuthorizedKeys' | 'cloudInitInstance'> {
  return {
    cores: launch.cores,
    memoryMiB: launch.memoryMiB,
    accelerator: launch.accelerator,
    disks: launch.disks.map((one) => one.name),
    networks: launch.nics.map(({ name, mac }) => ({ name, mac })),
    sshAuthorizedKeys: launch.cloudInit.sshAuthorizedKeys,
    cloudInitInstance: instanceIn(launch),
  }
}

/** See `instanceId` in inputs.ts. */
function instanceIn({ uid, cloudInit }: LaunchConfig): string | undefined {
  return cloudInit.instanceId === uid ? undefined : cloudInit.instanceId.slice(uid.length + 1)
}

/** The MACs in a service's launch config; undefined if the config is not in `configs` (by name) or cannot be parsed. */
export function launchedMacs(service: Pick<SwarmService, 'spec'>, configs: ReadonlyMap<string, SwarmConfig>): readonly Mac[] | undefined {
  const config = configs.get(launchConfigName(service) ?? '')
  if (config === undefined) return undefined
  return launchIn(config.data)?.nics.map(({ mac }) => mac)
}

/** The name identifies the content, because it contains a hash of it. */
function userDataName(service: SwarmService): string | undefined {
  return rawString(dig(rawList(dig(service.spec, 'TaskTemplate', 'ContainerSpec', 'Secrets'))[0], 'SecretName'))
}

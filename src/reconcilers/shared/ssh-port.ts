import type { VirtualMachine } from '../../api/manifest.ts'
import { sshPortName } from '../../api/manifest/spec/user-network.ts'
import type { LaunchConfig } from '../../api/wire/launch.ts'
import { portsIn } from './applied.ts'

export function wantsAutoSshPort({ spec }: VirtualMachine): boolean {
  return spec.networks.some(({ user }) => user?.ssh === 'auto')
}

/** The VM needs a port of the cluster and has none yet. */
export function isSshPortMissing(vm: VirtualMachine, { sshPort }: { readonly sshPort?: number | undefined }): boolean {
  return sshPort === undefined && wantsAutoSshPort(vm)
}

/** The port that a VM was started with. */
export function sshPortIn(launch: Pick<LaunchConfig, 'nics'>): number | undefined {
  return portsIn(launch).find(({ name }) => name === sshPortName)?.published
}

import { agentUid, layout } from '../../api/layout.ts'
import type { VmUid } from '../../api/names.ts'
import type { RawSpec } from '../../ports/swarm.ts'
import { dig, rawList, rawObject, rawString } from '../shared/raw.ts'

/**
 * A template that somebody changed, in the form that ours has: command, user, capabilities, mounts and networks are ours. It keeps what decides which
 * machine it starts and where: configs, secrets, resources and placement.
 */
export function confined(actual: unknown, ours: RawSpec): RawSpec {
  const { Resources, Placement, ContainerSpec } = rawObject(actual)
  const { Configs, Secrets } = rawObject(ContainerSpec)
  return { ...ours, ContainerSpec: { ...rawObject(ours['ContainerSpec']), Configs, Secrets }, Resources, Placement }
}

/** The task has more than any release gives a VM: no root, no capability, and only directories of this VM. */
export function reachesMore(template: unknown, uid: VmUid, stateRoot: string): boolean {
  const { User, Groups, CapabilityAdd, CapabilityDrop, Sysctls, Mounts } = rawObject(dig(template, 'ContainerSpec'))
  const isConfined =
    isPlainUser(rawString(User)) &&
    rawList(CapabilityDrop).includes('ALL') &&
    [Groups, CapabilityAdd].every((one) => rawList(one).length === 0) &&
    Object.keys(rawObject(Sysctls)).length === 0 &&
    rawList(Mounts).every((mount) => isOfVm(mount, uid, stateRoot))
  return !isConfined
}

/** The agent's user could write to images in the VM's directory, which other VMs share. */
function isPlainUser(user: string | undefined): boolean {
  return user !== undefined && /^[1-9]\d*:[1-9]\d*$/.test(user) && !user.startsWith(`${agentUid}:`)
}

function isOfVm(mount: unknown, uid: VmUid, stateRoot: string): boolean {
  const source = rawString(dig(mount, 'Source')) ?? ''
  if (dig(mount, 'Type') === 'tmpfs') return source === ''
  const { instance, socketDirectory } = layout(stateRoot)
  return dig(mount, 'Type') === 'bind' && [instance(uid), socketDirectory(uid)].some((own) => isWithin(source, own))
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || (path.startsWith(`${directory}/`) && !path.split('/').includes('..'))
}

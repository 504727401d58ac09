import { agentUid, layout } from '../../api/layout.ts'
import type { VmUid } from '../../api/names.ts'
import type { RawSpec } from '../../ports/swarm.ts'
import { dig, rawList, rawObject, rawString } from '../shared/raw.ts'

/**
 * A changed template with our own command, user, capabilities, mounts and networks. It keeps the configs, secrets, resources and placement,
 * which decide the machine that it starts and the node.
 */
export function confined(actual: unknown, ours: RawSpec): RawSpec {
  const { Resources, Placement, ContainerSpec } = rawObject(actual)
  const { Configs, Secrets } = rawObject(ContainerSpec)
  return { ...ours, ContainerSpec: { ...rawObject(ours['ContainerSpec']), Configs, Secrets }, Resources, Placement }
}

/** True if the task has more than any release grants: root, a capability, or a directory of another VM. */
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

/** The agent's user is excluded: it can write to images that other VMs share. */
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

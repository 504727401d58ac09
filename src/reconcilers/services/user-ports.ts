import { sshPortName } from '../../api/manifest/spec/user-network.ts'
import type { ForwardedPort, LaunchConfig } from '../../api/wire/launch.ts'
import { type Change, type Path, shown } from './change.ts'

type Nic = LaunchConfig['nics'][number]
type Ports = readonly ForwardedPort[]

/** Undefined if the VM has no user NIC. */
export function userPortsOf(nics: readonly Nic[]): unknown {
  const behindNat = nics.filter(({ user }) => user !== undefined)
  return behindNat.length === 0 ? undefined : behindNat.map(({ name, user }) => [name, user])
}

export function userPortChanges(running: readonly Nic[], wanted: readonly Nic[]): readonly Change[] {
  return wanted.flatMap(({ name, user }, index) => {
    const before = running.find((one) => one.name === name)?.user
    const path = ['spec', 'networks', index, 'user']
    return [...sshChange([...path, 'ssh'], before?.ports, user?.ports), ...portChanges([...path, 'ports'], before?.ports, user?.ports)]
  })
}

function sshChange(path: Path, from: Ports = [], to: Ports = []): readonly Change[] {
  const [before, after] = [from, to].map((ports) => ports.find(({ name }) => name === sshPortName)?.published)
  return shown(path, before, after)
}

function portChanges(path: Path, from: Ports = [], to: Ports = []): readonly Change[] {
  const [before = [], after = []] = [from, to].map((ports) => ports.filter(({ name }) => name !== sshPortName))
  return Array.from({ length: Math.max(before.length, after.length) }).flatMap((_, index) => {
    const [old, now] = [before[index], after[index]]
    return (['name', 'guest', 'published', 'protocol'] as const).flatMap((key) => shown([...path, index, key], old?.[key], now?.[key]))
  })
}

import { nodePorts } from '../node-ports.ts'
import { at, type ManifestIssue, type ManifestPath } from './issue.ts'
import { sshPortName } from './spec/user-network.ts'

/** The name of the SSH port is taken also while there is none, so that an edit of `ssh` is none of a port. */
const namesHelp = `give this one another name; the port of user.ssh has the name ${sshPortName}`

interface Forward {
  readonly path: ManifestPath
  readonly protocol: string
  readonly port: number
}

/** All forwarded ports of a VM share the task of the VM, so each number exists once for each protocol, on whichever network it is. */
export function userPorts(networks: readonly (readonly [ManifestPath, unknown])[]): ManifestIssue[] {
  const guest = networks.flatMap(([place, network]) => [...sshForward(place, network), ...forwards(place, network, 'guest')])
  const published = networks.flatMap(([place, network]) => [...sshPublished(place, network), ...forwards(place, network, 'published')])
  return [
    ...networks.flatMap(([place, network]) => names(place, network)),
    ...repeated(guest, ({ protocol, port }) => `port ${port}/${protocol} of the guest is forwarded already`),
    ...repeated(published, ({ protocol, port }) => `port ${port}/${protocol} is published already`),
    ...published.flatMap(reserved),
    ...ssh(networks),
  ]
}

/** The VM has one SSH port. */
function ssh(networks: readonly (readonly [ManifestPath, unknown])[]): ManifestIssue[] {
  const [, ...others] = networks.filter(([, network]) => hasSsh(network))
  return others.map(([place]) => ({
    code: 'VM013',
    path: [...place, 'user', 'ssh'],
    message: 'another network of the VM has an SSH port',
    help: 'set ssh: off on one of the networks',
  }))
}

function hasSsh(network: unknown): boolean {
  const value = at(network, ['user', 'ssh'])
  return value === 'auto' || typeof value === 'number'
}

function sshForward(place: ManifestPath, network: unknown): Forward[] {
  return hasSsh(network) ? [{ path: [...place, 'user', 'ssh'], protocol: 'tcp', port: 22 }] : []
}

function sshPublished(place: ManifestPath, network: unknown): Forward[] {
  const port = at(network, ['user', 'ssh'])
  return typeof port === 'number' ? [{ path: [...place, 'user', 'ssh'], protocol: 'tcp', port }] : []
}

function listed(network: unknown): readonly unknown[] {
  const ports = at(network, ['user', 'ports'])
  return Array.isArray(ports) ? ports : []
}

function forwards(place: ManifestPath, network: unknown, key: 'guest' | 'published'): Forward[] {
  return listed(network).flatMap((one, index) => {
    const port = at(one, [key])
    const protocol = at(one, ['protocol']) === 'udp' ? 'udp' : 'tcp'
    return typeof port === 'number' ? [{ path: [...place, 'user', 'ports', index, key], protocol, port }] : []
  })
}

function names(place: ManifestPath, network: unknown): ManifestIssue[] {
  const seen = new Set<unknown>([sshPortName])
  return listed(network).flatMap((one, index) => {
    const name = at(one, ['name'])
    if (typeof name !== 'string' || !seen.has(name)) {
      seen.add(name)
      return []
    }
    const path = [...place, 'user', 'ports', index, 'name']
    return [{ code: 'VM013', path, message: `there is a port "${name}" already`, help: namesHelp }]
  })
}

/** A guest on such a port would answer in the name of the node, and the program that owns it could not start again. */
function reserved({ path, port }: Forward): ManifestIssue[] {
  const range = nodePorts.find(({ from, to }) => from <= port && port <= to)
  if (range === undefined) return []
  const message = `port ${port} is for Docker, Swarm or monitoring on every node (${range.from}-${range.to})`
  return [{ code: 'VM013', path, message, help: 'publish another port' }]
}

function repeated(all: readonly Forward[], say: (one: Forward) => string): ManifestIssue[] {
  const seen = new Set<string>()
  return all.flatMap((one) => {
    const key = `${one.port}/${one.protocol}`
    const issue = { code: 'VM013', path: one.path, message: say(one), help: 'change one of the two numbers' }
    if (seen.has(key)) return [issue]
    seen.add(key)
    return []
  })
}

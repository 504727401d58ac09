/**
 * Every name, path and address of a lab follows from the lab's name, so two labs run side by side, and what a killed
 * run left can be found again without having been written down.
 */
import { join } from 'node:path'

const nodeNames = ['n1', 'n2', 'n3'] as const
export type NodeName = (typeof nodeNames)[number]

/** Where a command of the lab can run: on a node, or in one of the two switches. */
export type Place = NodeName | 'lan' | 'mgmt'

export const managementGateway = '10.77.0.254'
export const registryAddress = `${managementGateway}:5000`
export const wwwAddress = `${managementGateway}:8080`
export const lanGateway = '192.168.50.1'
/** On the second LAN, under `br1`. */
export const dmzGateway = '192.168.51.1'

export type NodeLayout = {
  readonly name: NodeName
  readonly netns: string
  readonly cgroup: string
  readonly managementIp: string
  readonly bridgeIp: string
  /** On `br1`. */
  readonly dmzIp: string
  readonly bridgeMac: string
  readonly dir: string
  /** The node's /run, as a path of the machine. */
  readonly runDir: string
  readonly dataRoot: string
  /** The node's /var/lib/swarmvirt, as a path of the machine. */
  readonly stateRoot: string
  readonly dockerSocket: string
}

export type LabLayout = {
  readonly lab: string
  readonly dir: string
  readonly records: string
  readonly www: string
  readonly nodes: readonly NodeLayout[]
  /** Network namespaces of the two switches. */
  readonly mgmtNetns: string
  readonly lanNetns: string
  /** Cgroup of everything that belongs to no node: `up` itself and the services on the switches. */
  readonly cgroup: string
  readonly builderCgroup: string
}

function nodeLayout(lab: string, dir: string, name: NodeName): NodeLayout {
  const number = nodeNames.indexOf(name) + 1
  const nodeDir = join(dir, name)
  return {
    name,
    netns: `sv-${lab}-${name}`,
    cgroup: `sv-${lab}-${name}`,
    managementIp: `10.77.0.${number}`,
    bridgeIp: `192.168.50.${10 + number}`,
    dmzIp: `192.168.51.${10 + number}`,
    bridgeMac: `02:77:50:00:00:0${number}`,
    dir: nodeDir,
    runDir: join(nodeDir, 'run'),
    dataRoot: join(nodeDir, 'data'),
    stateRoot: join(nodeDir, 'state'),
    dockerSocket: join(nodeDir, 'run', 'docker.sock'),
  }
}

/** @throws when the name is not 1 to 6 of `a-z 0-9`: it becomes part of names the kernel bounds. */
function labLayout(lab: string, root: string): LabLayout {
  if (!/^[a-z0-9]{1,6}$/.test(lab)) {
    throw new Error(`a lab's name is 1 to 6 of a-z 0-9, not "${lab}"`)
  }
  const dir = join(root, lab)
  return {
    lab,
    dir,
    records: join(dir, 'records'),
    www: join(dir, 'www'),
    nodes: nodeNames.map((name) => nodeLayout(lab, dir, name)),
    mgmtNetns: `sv-${lab}-mgmt`,
    lanNetns: `sv-${lab}-lan`,
    cgroup: `sv-${lab}`,
    builderCgroup: `sv-${lab}-builder`,
  }
}

/** `SWARMVIRT_LAB` names the lab, `SWARMVIRT_LAB_ROOT` the directory that holds the state of all labs. */
export function layoutFromEnv(env: NodeJS.ProcessEnv, lab?: string): LabLayout {
  return labLayout(lab ?? env['SWARMVIRT_LAB'] ?? 'lab', env['SWARMVIRT_LAB_ROOT'] ?? '/var/lib/swarmvirt-lab')
}

/** The lab of the contract, end-to-end and full suites; another name lets two of them run side by side. */
export function e2eLabName(env: NodeJS.ProcessEnv): string {
  return env['SWARMVIRT_E2E_LAB'] ?? 'e2e'
}

/** @throws for a name that is none of the lab's nodes. */
export function nodeOf(layout: LabLayout, name: string): NodeLayout {
  const node = layout.nodes.find((each) => each.name === name)
  if (node === undefined) throw new Error(`no node "${name}": the lab has ${nodeNames.join(', ')}`)
  return node
}

export function netnsNames(layout: LabLayout): string[] {
  return [layout.mgmtNetns, layout.lanNetns, ...layout.nodes.map((node) => node.netns)]
}

export function cgroupNames(layout: LabLayout): string[] {
  return [layout.cgroup, layout.builderCgroup, ...layout.nodes.map((node) => node.cgroup)]
}

/** Node 24 of node_modules, which runs TypeScript directly, whichever Node started this program. */
export function nodeBinary(): string {
  return join(import.meta.dirname, '..', '..', 'node_modules', `node-linux-${process.arch}`, 'bin', 'node')
}

/** Where archives that take long to make are kept, across labs and checkouts. */
export function cacheDir(env: NodeJS.ProcessEnv): string {
  return env['SWARMVIRT_CACHE'] ?? join(env['XDG_CACHE_HOME'] ?? join(env['HOME'] ?? '/root', '.cache'), 'swarmvirt')
}

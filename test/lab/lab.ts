/** The lab as tests use it. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { join } from 'node:path'
import { inCgroup } from './cgroups.ts'
import { leftovers, powerOff } from './clear.ts'
import { onNode, onSwitch } from './daemons.ts'
import { dockerArgv, dockerEnv, getStatus, killDockerd, mustDocker, startDockerd } from './engine.ts'
import { type HttpAnswer, type HttpGet, httpGetter } from './http-getter.ts'
import { type Lease, leases, reserve } from './lan.ts'
import {
  type LabLayout,
  layoutFromEnv,
  nodeBinary,
  type NodeLayout,
  type NodeName,
  nodeOf,
  type Place,
  registryAddress,
  wwwAddress,
} from './layout.ts'
import { type RunOptions, type RunResult, run, until } from './run.ts'
import { swarmJoin, waitReady } from './swarm.ts'
import { isUp, loadedImages, powerOn } from './up.ts'

export type { NodeName } from './layout.ts'

export type Lab = {
  readonly name: string
  readonly nodes: readonly NodeLayout[]
  /** Files put here are served under `http://${wwwAddress}/` to the nodes. */
  readonly www: string
  readonly wwwAddress: string
  readonly registryAddress: string
  /** References of the project's images as last loaded: controller, node. */
  readonly images: readonly string[]
  node(name: NodeName): NodeLayout
  /** Runs to the end on a node, or in the namespace of a switch. */
  exec(place: Place, argv: readonly string[], options?: RunOptions): Promise<RunResult>
  /** Starts on a node, or in the namespace of a switch, and gives the process; `down` ends what still runs. */
  spawnIn(place: Place, argv: readonly string[], options?: SpawnOptions): ChildProcess
  /** A GET by a program on a node or a switch, where the addresses of the lab mean something. */
  httpGet(place: Place, ...ask: Parameters<HttpGet>): Promise<HttpAnswer>
  /** The Docker client, with a node's daemon. */
  docker(node: NodeName, args: readonly string[], options?: RunOptions): Promise<RunResult>
  /** The same, giving what was printed. @throws when it fails. */
  mustDocker(node: NodeName, args: readonly string[], options?: RunOptions): Promise<string>
  /** Makes or moves a DHCP reservation on the LAN; `null` takes it away. */
  reserve(mac: string, ip: string | null): Promise<void>
  leases(): Lease[]
  killDockerd(node: NodeName, signal?: NodeJS.Signals): Promise<void>
  startDockerd(node: NodeName): Promise<void>
  /** Puts the stand-in for git-sync on n1 and gives its reference. */
  gitSync(): Promise<string>
  /** Cuts the power: processes, containers and interfaces are gone at once, disks stay. */
  powerOff(node: NodeName): Promise<void>
  /** A reboot after `powerOff`: an empty /run, a fresh br0, dockerd with its old swarm state. */
  powerOn(node: NodeName): Promise<void>
  /** Takes a node out of the swarm for good; its machine stays up. */
  removeNode(node: NodeName): Promise<void>
  /** Makes a node that was removed a manager again. */
  joinNode(node: NodeName): Promise<void>
  waitReady(...nodes: NodeName[]): Promise<void>
  down(): Promise<void>
}

const mainFile = join(import.meta.dirname, 'main.ts')

/** `up` and `down` run as programs of their own: `up` puts itself into the cgroup that `down` empties. */
async function command(layout: LabLayout, argv: readonly string[]): Promise<string> {
  const env = { ...process.env, SWARMVIRT_LAB: layout.lab }
  const result = await run([nodeBinary(), mainFile, ...argv], { env })
  if (result.code !== 0) throw new Error(`lab ${argv.join(' ')} failed:\n${result.stderr}`)
  return result.stdout.trim()
}

function otherThan(layout: LabLayout, name: NodeName): NodeLayout {
  const other = layout.nodes.find((node) => node.name !== name)
  if (other === undefined) throw new Error('a lab with one node')
  return other
}

/** A node that is on leaves in order; one that is off is only struck from the list. */
async function removeNode(layout: LabLayout, name: NodeName): Promise<void> {
  const manager = otherThan(layout, name).dockerSocket
  const own = nodeOf(layout, name).dockerSocket
  await mustDocker(layout, manager, ['node', 'demote', name])
  if ((await getStatus(own, '/_ping')) === 200) {
    // A node that leaves while it is a member of Raft still counts in its quorum.
    await until(`${name} to be a manager no more`, 30_000, async () => {
      const manages = await mustDocker(layout, own, ['info', '-f', '{{.Swarm.ControlAvailable}}'])
      return manages.trim() === 'false' ? true : undefined
    })
    await mustDocker(layout, own, ['swarm', 'leave', '--force'])
  }
  await mustDocker(layout, manager, ['node', 'rm', '--force', name])
}

function labOf(layout: LabLayout): Lab {
  const argvFor = (place: Place, argv: readonly string[]): string[] => {
    if (place === 'lan') return onSwitch(layout, layout.lanNetns, argv)
    if (place === 'mgmt') return onSwitch(layout, layout.mgmtNetns, argv)
    return onNode(layout, nodeOf(layout, place), argv)
  }
  const spawnIn: Lab['spawnIn'] = (place, argv, options) => {
    const [program = '', ...args] = argvFor(place, argv)
    return spawn(program, args, options ?? {})
  }
  const getters = new Map<Place, HttpGet>()
  const getterOn = (place: Place): HttpGet => {
    const getter = getters.get(place) ?? httpGetter((argv) => spawnIn(place, argv, { stdio: ['pipe', 'pipe', 'ignore'] }))
    getters.set(place, getter)
    return getter
  }
  const dockerFor = (name: NodeName, args: readonly string[]): string[] =>
    inCgroup(layout.cgroup, dockerArgv(nodeOf(layout, name).dockerSocket, args))
  return {
    name: layout.lab,
    nodes: layout.nodes,
    www: layout.www,
    wwwAddress,
    registryAddress,
    images: loadedImages(layout),
    node: (name) => nodeOf(layout, name),
    exec: (place, argv, options) => run(argvFor(place, argv), options),
    spawnIn,
    httpGet: (place, ...ask) => getterOn(place)(...ask),
    docker: (name, args, options) => run(dockerFor(name, args), { env: dockerEnv(layout), ...options }),
    mustDocker: (name, args, options) => mustDocker(layout, nodeOf(layout, name).dockerSocket, args, options),
    reserve: (mac, ip) => reserve(layout, mac, ip),
    leases: () => leases(layout),
    killDockerd: (name, signal) => killDockerd(layout, nodeOf(layout, name), signal ?? 'SIGKILL'),
    startDockerd: (name) => startDockerd(layout, nodeOf(layout, name)),
    powerOff: (name) => powerOff(layout, nodeOf(layout, name)),
    powerOn: (name) => powerOn(layout, nodeOf(layout, name)),
    removeNode: (name) => removeNode(layout, name),
    joinNode: (name) => swarmJoin(layout, nodeOf(layout, name), otherThan(layout, name)),
    waitReady: (...names) => waitReady(layout, nodeOf(layout, names[0] ?? 'n1'), names),
    gitSync: () => command(layout, ['git-sync']),
    down: async () => void (await command(layout, ['down'])),
  }
}

/** A lab that is up. @throws when it is not. */
export async function openLab(name?: string): Promise<Lab> {
  const layout = layoutFromEnv(process.env, name)
  if (!(await isUp(layout))) throw new Error(`lab "${layout.lab}" is not up; run "npm run lab -- up"`)
  return labOf(layout)
}

/** Starts a lab with the images of this checkout, or reuses the running one. */
export async function labUp(name?: string, options: { readonly fresh: boolean } = { fresh: false }): Promise<Lab> {
  const layout = layoutFromEnv(process.env, name)
  await command(layout, options.fresh ? ['up', '--fresh'] : ['up'])
  return labOf(layout)
}

/** The parts of a lab that exist: empty after `down`. */
export function labLeftovers(name?: string): string[] {
  return leftovers(layoutFromEnv(process.env, name))
}

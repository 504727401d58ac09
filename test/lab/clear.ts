/** Takes a lab down, whatever state it is in: by cgroup, namespace, mount and recorded pid, never by a process's name. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cgroupDirs, cgroupPids, labCgroupDirs, removeCgroups, thaw } from './cgroups.ts'
import { keepOnlyImages } from './engine.ts'
import { cgroupNames, type LabLayout, type NodeLayout, netnsNames } from './layout.ts'
import { removeNetns, unplug } from './network.ts'
import { allPids, dropRecord, namedNetns, namespaceOf, processNow, readRecord, selfAndAncestors, signal } from './processes.ts'
import { run } from './run.ts'

/** Namespaces that are the lab's: the named ones, and the mount namespaces that holders keep. */
function ownNamespaces(layout: LabLayout, netns: readonly string[], holders: readonly string[]): Set<string> {
  const mounts = holders.flatMap((name) => {
    const id = readRecord(layout, `${name}.holder`)
    return id === undefined ? [] : [namespaceOf(id.pid, 'mnt')]
  })
  return new Set([...netns.map(namedNetns), ...mounts].filter((each) => each !== undefined))
}

/** Every living process in one of the cgroups or namespaces, but never this one or one above it. */
function members(dirs: readonly string[], namespaces: ReadonlySet<string>): number[] {
  const spared = selfAndAncestors()
  const inCgroups = cgroupPids(dirs)
  return allPids().filter((pid) => {
    if (spared.has(pid) || processNow(pid) === undefined) return false
    if (inCgroups.has(pid)) return true
    return namespaces.has(namespaceOf(pid, 'net') ?? '') || namespaces.has(namespaceOf(pid, 'mnt') ?? '')
  })
}

/** Kills until nothing is left to kill: what dies may just have started something. */
async function killAll(cgroups: readonly string[], namespaces: ReadonlySet<string>): Promise<void> {
  const end = performance.now() + 15_000
  for (;;) {
    const dirs = cgroupDirs(cgroups)
    const pids = members(dirs, namespaces)
    if (pids.length === 0) return
    if (performance.now() > end) throw new Error(`processes that do not die: ${pids.join(' ')}`)
    thaw(dirs)
    for (const pid of pids) {
      const id = processNow(pid)
      if (id !== undefined) signal(id, 'SIGKILL')
    }
    await sleep(10)
  }
}

/** Mount points below the lab's directory in this mount namespace. */
function mountsBelow(dir: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${dir}/`))
}

/** All parts of a running lab; empty after `down`. Files that are kept for a faster start are not listed. */
export function leftovers(layout: LabLayout): string[] {
  const namespaces = ownNamespaces(layout, netnsNames(layout), holderNames(layout))
  const dirs = labCgroupDirs(layout)
  return [
    ...members(dirs, namespaces).map((pid) => `process ${pid}`),
    ...netnsNames(layout)
      .filter((name) => namedNetns(name) !== undefined)
      .map((name) => `network namespace ${name}`),
    ...mountsBelow(layout.dir).map((point) => `mount ${point}`),
    ...dirs.map((dir) => `cgroup ${dir}`),
  ]
}

function holderNames(layout: LabLayout): string[] {
  return ['builder', ...layout.nodes.map((node) => node.name)]
}

/** Ends all of a lab and forgets its state, except images, and what `www` serves. */
export async function clearLab(layout: LabLayout): Promise<void> {
  const cgroups = cgroupNames(layout)
  await killAll(cgroups, ownNamespaces(layout, netnsNames(layout), holderNames(layout)))
  for (const name of netnsNames(layout)) await removeNetns(name)
  for (const point of mountsBelow(layout.dir).toReversed()) await run(['umount', '--lazy', point])
  await removeCgroups(cgroups, 10_000)
  for (const name of ['records', 'dhcp', 'registry', 'builder', 'log', 'complete.json']) {
    rmSync(join(layout.dir, name), { recursive: true, force: true })
  }
  for (const node of layout.nodes) {
    for (const dir of [node.runDir, node.stateRoot]) rmSync(dir, { recursive: true, force: true })
    rmSync(join(node.dir, 'daemon.json'), { force: true })
    keepOnlyImages(node)
  }
}

/** Cuts a node's power: all its processes and containers, its namespaces and its cables. Disks stay. */
export async function powerOff(layout: LabLayout, node: NodeLayout): Promise<void> {
  await killAll([node.cgroup], ownNamespaces(layout, [node.netns], [node.name]))
  await unplug(layout, node)
  await removeNetns(node.netns)
  await removeCgroups([node.cgroup], 10_000)
  for (const job of ['holder', 'dockerd']) dropRecord(layout, `${node.name}.${job}`)
}

/** Ends the throw-away Docker that builds the slow layer, and all it has written. */
export async function removeBuilder(layout: LabLayout): Promise<void> {
  await killAll([layout.builderCgroup], ownNamespaces(layout, [], ['builder']))
  await removeCgroups([layout.builderCgroup], 10_000)
  for (const job of ['holder', 'dockerd']) dropRecord(layout, `builder.${job}`)
  rmSync(join(layout.dir, 'builder'), { recursive: true, force: true })
}

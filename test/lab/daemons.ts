/** Processes that outlive the command that started them. */
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { inCgroup, makeCgroup } from './cgroups.ts'
import type { LabLayout, NodeLayout } from './layout.ts'
import { namedNetns, type ProcessId, readRecord, writeRecord } from './processes.ts'

export type DaemonSpec = {
  /** Name of the record, and of the log file. */
  readonly job: string
  readonly cgroup: string
  readonly argv: readonly string[]
}

export function logPath(layout: LabLayout, job: string): string {
  return join(layout.dir, 'log', `${job}.log`)
}

/** The end of a daemon's log, for an error message. */
export function logTail(layout: LabLayout, job: string): string {
  return readFileSync(logPath(layout, job), 'utf8').trim().split('\n').slice(-12).join('\n')
}

/** Starts a process in its cgroup, in a session of its own, with its output in a log file. */
export function startDaemon(layout: LabLayout, spec: DaemonSpec): ProcessId {
  mkdirSync(dirname(logPath(layout, spec.job)), { recursive: true })
  const log = openSync(logPath(layout, spec.job), 'a')
  makeCgroup(spec.cgroup)
  const [command, ...args] = inCgroup(spec.cgroup, spec.argv)
  const child = spawn(command ?? '', args, { detached: true, stdio: ['ignore', log, log], cwd: '/' })
  child.unref()
  closeSync(log)
  // Without a listener a failed spawn would end the whole program; writeRecord reports it.
  child.on('error', () => undefined)
  return writeRecord(layout, spec.job, child.pid ?? 0)
}

function setUpArgv(...facts: readonly string[]): string[] {
  const script = join(import.meta.dirname, 'node-namespace.sh')
  return ['unshare', '--mount', '--uts', '--propagation', 'private', '/bin/sh', script, ...facts]
}

/** A namespace and its holder. A node's /run is emptied, as by a reboot; its state root stays. */
export async function startHolder(layout: LabLayout, name: string, cgroup: string, dir: string, netns?: string): Promise<void> {
  const runDir = join(dir, 'run')
  const stateRoot = join(dir, 'state')
  rmSync(runDir, { recursive: true, force: true })
  for (const each of [runDir, stateRoot, join(dir, 'mnt')]) mkdirSync(each, { recursive: true })
  const network = netns === undefined ? 'machine-network' : 'own-network'
  const unshare = setUpArgv(name, runDir, stateRoot, join(dir, 'mnt'), network)
  const argv = netns === undefined ? unshare : ['nsenter', `--net=/run/netns/${netns}`, ...unshare]
  makeCgroup(`${cgroup}/host`)
  const [command, ...args] = inCgroup(`${cgroup}/host`, argv)
  const child = spawn(command ?? '', args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' })
  child.unref()
  await new Promise<void>((resolve, reject) => {
    let words = ''
    child.stderr.on('data', (chunk: Buffer) => {
      words += chunk.toString()
    })
    child.stdout.on('data', () => resolve())
    child.on('error', reject)
    child.on('exit', (code) => reject(new Error(`the namespace of ${name} could not be made (exit ${code}): ${words}`)))
  })
  child.stdout.destroy()
  child.stderr.destroy()
  writeRecord(layout, `${name}.holder`, child.pid ?? 0)
}

/** The command, inside a namespace that a holder keeps. @throws when the holder is gone: the node is off. */
export function inHolder(layout: LabLayout, name: string, argv: readonly string[]): string[] {
  const holder = readRecord(layout, `${name}.holder`)
  if (holder === undefined) throw new Error(`${name} is off (its namespace is gone); run "npm run lab -- up"`)
  return ['nsenter', '--target', String(holder.pid), '--mount', '--net', '--uts', '--', ...argv]
}

/** The command as it runs on a node, in the node's cgroup. */
export function onNode(layout: LabLayout, node: NodeLayout, argv: readonly string[]): string[] {
  return inCgroup(`${node.cgroup}/host`, inHolder(layout, node.name, argv))
}

/** The command as it runs in a switch's network namespace. @throws when the lab is down. */
export function onSwitch(layout: LabLayout, netns: string, argv: readonly string[]): string[] {
  if (namedNetns(netns) === undefined) throw new Error(`lab "${layout.lab}" is down; run "npm run lab -- up"`)
  return inCgroup(layout.cgroup, ['nsenter', `--net=/run/netns/${netns}`, '--', ...argv])
}

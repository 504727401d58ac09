import { readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Condition, ConditionType } from '../../src/api/conditions.ts'
import { deterministicMac } from '../../src/api/mac.ts'
import { parseVirtualMachine } from '../../src/api/manifest.ts'
import type { VmView } from '../../src/api/wire/controller-api.ts'
import { memoryNeedBytes } from '../../src/reconcilers/shared/machine-shape.ts'
import { clusterName, type Deployment, openDeployment } from '../lab/deployment.ts'
import { type Lab, type NodeName, openLab } from '../lab/lab.ts'
import { e2eLabName } from '../lab/layout.ts'
import { must, until } from '../lab/run.ts'
import { aVmName } from '../support/branded.ts'

export const e2eLab = e2eLabName(process.env)

export async function openE2e(): Promise<Deployment> {
  return openDeployment(await openLab(e2eLab))
}

interface ManifestParts {
  readonly runStrategy?: string
  readonly updatePolicy?: string
  readonly memory?: string
  readonly accelerator?: string
  readonly bridge?: string
  readonly image?: string
  readonly disks?: readonly object[]
  readonly sha256?: string
  readonly size?: string
  readonly userData?: string
  readonly sshAuthorizedKeys?: readonly string[]
  readonly tcp?: number
  readonly mac?: string
  /** Instead of one network `lan` on `br0`. */
  readonly networks?: readonly object[]
  /** More fields of the spec. */
  readonly more?: object
}

/** A manifest that names only what matters; JSON is YAML. */
export function manifest(name: string, parts: ManifestParts = {}): string {
  const spec = {
    runStrategy: parts.runStrategy ?? 'Always',
    cpu: { cores: 1 },
    memory: parts.memory ?? '192Mi',
    accelerator: parts.accelerator ?? 'auto',
    updatePolicy: parts.updatePolicy,
    disks: parts.disks ?? [
      {
        name: 'root',
        size: parts.size ?? '1Gi',
        image: { source: parts.image ?? 'images/tiny.qcow2', ...(parts.sha256 === undefined ? {} : { sha256: parts.sha256 }) },
      },
    ],
    networks: parts.networks ?? [{ name: 'lan', bridge: parts.bridge ?? 'br0', mac: parts.mac ?? 'auto' }],
    cloudInit: { userData: parts.userData, sshAuthorizedKeys: parts.sshAuthorizedKeys },
    readiness: { tcp: parts.tcp ?? 80 },
    ...parts.more,
  }
  return `${JSON.stringify({ apiVersion: 'swarmvirt.dev/v1alpha1', kind: 'VirtualMachine', metadata: { name }, spec }, null, 2)}\n`
}

/** The limit of the VM's task on the lab, whose cluster allows TCG: the guest's memory and what QEMU and the runner may use. */
export function taskMemoryMiB(text: string): number {
  const parsed = parseVirtualMachine(JSON.parse(text))
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  return memoryNeedBytes(parsed.vm, { softwareEmulation: true, memoryOverheadMiB: 0 }) / 1024 ** 2
}

export function conditionOf(vm: VmView | undefined, type: ConditionType): Condition | undefined {
  return vm?.conditions.find((one) => one.type === type)
}

export function isTrue(vm: VmView | undefined, type: ConditionType): boolean {
  return conditionOf(vm, type)?.status === 'True'
}

/** Waits for a condition; says in its error what was seen last. The limits only stop a hang. */
export async function waitForCondition(
  deployment: Deployment,
  name: string,
  type: ConditionType,
  wanted: (condition: Condition) => boolean,
  timeoutMs = 120_000,
): Promise<VmView> {
  let last: VmView | undefined
  try {
    return await until(
      `${type} of ${name}`,
      timeoutMs,
      async () => {
        last = await deployment.vm(name)
        const condition = conditionOf(last, type)
        return condition !== undefined && wanted(condition) ? last : undefined
      },
      300,
    )
  } catch (error) {
    const seen = last?.conditions.map((one) => `${one.type}=${one.status} ${one.reason}: ${one.message}`).join('\n')
    throw new Error(`${(error as Error).message}\n${seen ?? 'the API knows no such VM'}`, { cause: error })
  }
}

export function waitReady(deployment: Deployment, name: string, timeoutMs?: number): Promise<VmView> {
  return waitForCondition(deployment, name, 'Ready', (one) => one.status === 'True', timeoutMs)
}

/** Waits until the VM has no service and the controller has removed it. While it is only absent, another removal may block both. */
export function waitGone(deployment: Deployment, name: string): Promise<true> {
  const isGone = async (): Promise<true | undefined> => {
    if ((await serviceOf(deployment.lab, name)) !== undefined) return undefined
    const vm = await deployment.vm(name)
    return vm === undefined || vm.declared === 'removed' ? true : undefined
  }
  return until(`${name} to be gone`, 120_000, isGone, 300)
}

/** The removal of more VMs at once would be blocked. */
const mostRemovedAtOnce = 3

/**
 * The removal of all VMs of a source at once would be blocked, so the first one goes last. The test does not wait for it: it shuts down
 * while the next test file boots its own.
 */
export async function removeManifests(deployment: Deployment, names: readonly string[]): Promise<void> {
  const [last, ...others] = names
  for (let index = 0; index < others.length; index += mostRemovedAtOnce) {
    const some = others.slice(index, index + mostRemovedAtOnce)
    for (const name of some) deployment.removeManifest(`${name}.yaml`)
    for (const name of some) await waitGone(deployment, name)
  }
  deployment.removeManifest(`${last}.yaml`)
}

/** For tests that check the whole Swarm: waits until the objects of earlier test files are gone. */
export async function waitNoVms({ lab }: Deployment): Promise<void> {
  await until('no service of a VM', 120_000, async () => {
    const listed = await lab.mustDocker('n1', ['service', 'ls', '--quiet', '--filter', 'label=swarmvirt.vm'])
    return listed === '' ? true : undefined
  })
}

export function reservedMac(name: string, network = 'lan'): string {
  return deterministicMac(clusterName, aVmName(name), network)
}

export interface ServiceView {
  readonly ID: string
  readonly Version: { readonly Index: number }
  readonly Spec: {
    readonly Labels: Readonly<Record<string, string>>
    readonly Mode: { readonly Replicated: { readonly Replicas: number } }
    readonly EndpointSpec?: unknown
    readonly TaskTemplate: {
      readonly ContainerSpec: Readonly<Record<string, unknown>>
      readonly Placement: { readonly Constraints: readonly string[] }
      readonly Resources: { readonly Limits: { readonly MemoryBytes: number; readonly NanoCPUs?: number } }
      readonly ForceUpdate?: number
    }
  }
}

export async function serviceOf(lab: Lab, name: string): Promise<ServiceView | undefined> {
  const result = await lab.docker('n1', ['service', 'inspect', `vm-${name}`])
  if (result.code !== 0 && /not found|no such service/i.test(result.stderr)) return undefined
  if (result.code !== 0) throw new Error(result.stderr)
  return (JSON.parse(result.stdout) as ServiceView[])[0]
}

export interface RunnerContainer {
  readonly node: NodeName
  readonly id: string
  /** The process of the runner (not of its init), on the machine. */
  readonly pid: number
}

/** The VM's containers that are up now, on all nodes. */
export async function containersOf(lab: Lab, name: string): Promise<readonly RunnerContainer[]> {
  const perNode = await Promise.all(
    lab.nodes.map(async (node) => {
      const listed = await lab.docker(node.name, [
        'ps',
        '--quiet',
        '--no-trunc',
        '--filter',
        `label=com.docker.swarm.service.name=vm-${name}`,
      ])
      const ids = listed.stdout.split('\n').filter((id) => id !== '')
      return Promise.all(
        ids.map(async (id) => {
          const pid = await lab.mustDocker(node.name, ['inspect', '--format', '{{.State.Pid}}', id])
          return { node: node.name, id, pid: behindInit(Number(pid)) }
        }),
      )
    }),
  )
  return perNode.flat()
}

/** The runner behind Docker's init, which is the container's first process. */
function behindInit(pid: number): number {
  try {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')
    return child === undefined || child === '' ? pid : Number(child)
  } catch {
    // Ended between the look and the read.
    return pid
  }
}

export async function containerOf(lab: Lab, name: string): Promise<RunnerContainer> {
  return until(`one container of ${name}`, 60_000, async () => {
    const found = await containersOf(lab, name)
    return found.length === 1 ? found[0] : undefined
  })
}

/** A field of /proc/PID/status. */
export function procStatus(pid: number, field: string): string {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`${field}:`))
  return line?.slice(field.length + 1).trim() ?? ''
}

export async function nodeOfVm(lab: Lab, name: string): Promise<NodeName> {
  const service = await serviceOf(lab, name)
  const uid = service?.Spec.Labels['swarmvirt.uid']
  const node = lab.nodes.find((one) => {
    try {
      return statSync(join(one.stateRoot, 'instances', uid ?? 'none', 'disks')).isDirectory()
    } catch {
      return false
    }
  })
  if (node === undefined) throw new Error(`no node has a disk of ${name}`)
  return node.name
}

export async function uidOf(lab: Lab, name: string): Promise<string> {
  const uid = (await serviceOf(lab, name))?.Spec.Labels['swarmvirt.uid']
  if (uid === undefined) throw new Error(`service vm-${name} has no uid label`)
  return uid
}

export function instanceDirectory(lab: Lab, node: NodeName, uid: string): string {
  return join(lab.node(node).stateRoot, 'instances', uid)
}

export function serialLog(lab: Lab, node: NodeName, uid: string): string {
  return readFileSync(join(instanceDirectory(lab, node, uid), 'run/serial.log'), 'utf8')
}

/** Puts an ISO image with this label into the `isos` directory of every node. */
export async function offerDisc(lab: Lab, file: string, label: string): Promise<void> {
  for (const { stateRoot } of lab.nodes) {
    const path = join(stateRoot, 'isos', file)
    writeFileSync(`${path}.txt`, label)
    await must(['genisoimage', '-quiet', '-V', label, '-o', path, `${path}.txt`])
  }
}

/** The guest's own web page, requested from another node over br0. */
export async function guestPage(lab: Lab, ip: string, from: NodeName, path = '/', timeoutMs = 5_000): Promise<string> {
  return (await lab.httpGet(from, `http://${ip}${path}`, { timeoutMs })).body.trim()
}

/** Waits until the guest's list of devices has a line that begins with this. */
export function guestShows(
  deployment: Deployment,
  { name, ip }: { readonly name: string; readonly ip: string },
  start: string,
): Promise<string> {
  return until(
    `${name} to have ${start}`,
    120_000,
    async () => {
      const from = otherNode(deployment.lab, await nodeOfVm(deployment.lab, name))
      const page = await guestPage(deployment.lab, ip, from, '/cgi-bin/devices', 30_000)
      return page.split('\n').find((line) => line.startsWith(start))
    },
    500,
  )
}

export function otherNode(lab: Lab, node: string): NodeName {
  const other = lab.nodes.find((one) => one.name !== node)
  if (other === undefined) throw new Error('the lab has no other node')
  return other.name
}

/** The boot that a guest counts on its own disk; undefined while its page cannot be had. */
export async function bootCount(lab: Lab, ip: string, from: NodeName): Promise<number | undefined> {
  return guestPage(lab, ip, from, '/boot-count').then(Number, () => undefined)
}

/** Waits until the guest itself says that this is its nth boot, and only then for Ready: the controller's last look may be older than a restart. */
export async function waitBooted(deployment: Deployment, name: string, ip: string, boots: number): Promise<VmView> {
  await until(
    `boot ${boots} of ${name}`,
    120_000,
    async () => {
      const from = otherNode(deployment.lab, await nodeOfVm(deployment.lab, name))
      return (await bootCount(deployment.lab, ip, from)) === boots ? true : undefined
    },
    500,
  )
  return waitReady(deployment, name)
}

/** Pids of every QEMU that has this file open, found by inode: names differ between containers. */
function writersOf(file: string): readonly number[] {
  const wanted = statSync(file)
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => isQemu(pid) && hasOpen(pid, wanted.dev, wanted.ino))
}

function isQemu(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`).includes('qemu-system')
  } catch {
    return false
  }
}

function hasOpen(pid: number, dev: number, ino: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      const seen = statSync(`/proc/${pid}/fd/${fd}`, { throwIfNoEntry: false })
      return seen?.dev === dev && seen.ino === ino
    })
  } catch {
    // The process ended between the look and the read.
    return false
  }
}

/** Counts writers of a disk every 50 ms until stopped; the most seen at once is what matters. */
export function watchWriters(file: string): { stop(): { readonly most: number; readonly samples: number } } {
  let most = 0
  let samples = 0
  const timer = setInterval(() => {
    samples += 1
    most = Math.max(most, writersOf(file).length)
  }, 50)
  return {
    stop() {
      clearInterval(timer)
      return { most, samples }
    },
  }
}

export const orderlyShutdown = 'swarmvirt-guest: orderly shutdown complete'
export const powerCut = 'swarmvirt-guest: previous shutdown was a power cut'

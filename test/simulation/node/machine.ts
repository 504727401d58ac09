import { agentOver } from '../../../src/adapters/control/agent-client.ts'
import type { PskCall } from '../../../src/adapters/control/psk-https.ts'
import { layout, type Layout } from '../../../src/api/layout.ts'
import type { VmUid } from '../../../src/api/names.ts'
import type { InstanceRecord, PrepareOrder } from '../../../src/api/wire/agent-api.ts'
import { identity as identitySchema } from '../../../src/api/wire/identity.ts'
import type { Agent } from '../../../src/ports/agents.ts'
import type { AnswerControl, ControlAnswer, ControlRequest } from '../../../src/ports/control-listener.ts'
import { PortError } from '../../../src/ports/errors.ts'
import type { Log } from '../../../src/ports/log.ts'
import type { SeededRandom } from '../seeded-random.ts'
import type { VirtualTime } from '../virtual-time.ts'
import { Descriptors } from './descriptors.ts'
import { Host } from './host.ts'
import type { Lan } from './lan.ts'
import { type DiskObserver, type Inode, MemoryDisk } from './memory-disk.ts'
import { Process } from './process.ts'
import { startSimulatedAgent, startSimulatedBroker } from './programs.ts'
import type { Steps } from './steps.ts'
import { UnixSockets } from './unix-sockets.ts'
import { isUid } from '../../../src/api/names.ts'

export interface MachinePorts {
  readonly time: VirtualTime
  readonly random: SeededRandom
  readonly stateRoot: string
  readonly steps: Steps
  readonly lan: Lan
  readonly log: Log
  /** A program did what no program may do. */
  readonly onFault: (message: string) => void
  readonly trace: (line: string) => void
  /** A file that counts came or went; `record` is what was known of its VM. */
  readonly onDisk: (machine: Machine, uid: VmUid, disk: string, before: 'none' | 'locked' | 'unlocked') => void
  readonly onUnlink: (machine: Machine, uid: VmUid, disk: string, isLocked: boolean) => void
  readonly onRevoke: (record: InstanceRecord) => void
  /** An agent is given an order for an instance that is there already. */
  readonly onOrder: (record: InstanceRecord) => void
}

const images = { 'images/tiny.qcow2': 'a', 'images/other.qcow2': 'b' } as const
const imageBytes = 112 * 1024 ** 2

/** One node: what outlives a loss of power (its disk), and its agent and broker, which do not. */
export class Machine {
  readonly hostname: string
  readonly nodeId: string
  readonly layout: Layout
  readonly disk: MemoryDisk
  readonly descriptors: Descriptors
  readonly sockets: UnixSockets
  readonly host: Host
  /** As the controller reaches it. */
  readonly agent: Agent
  isUp = true
  /** False while managers and node do not hear of each other; its containers live on. */
  isConnected = true
  /** Nobody reaches its agent, which knows nothing of it. */
  away = false
  /** The last order for each VM. */
  readonly orders = new Map<VmUid, PrepareOrder>()
  /** The next probes of QEMU fail, with KVM and without. */
  qemuBroken = false
  /** Its agent takes seconds for each answer. */
  slow = false
  readonly #ports: MachinePorts
  readonly #waiting = new Set<(error: Error) => void>()
  readonly #processes: Process[] = []
  #agent: Process | undefined
  #broker: Process | undefined
  #answer: AnswerControl | undefined
  #brokerAway = false

  constructor(hostname: string, nodeId: string, address: string, ports: MachinePorts) {
    this.hostname = hostname
    this.nodeId = nodeId
    this.#ports = ports
    this.layout = layout(ports.stateRoot)
    this.disk = new MemoryDisk(() => ports.time.now(), this.#observer())
    this.descriptors = new Descriptors(ports.onFault)
    this.sockets = new UnixSockets(this.disk, this.descriptors)
    this.host = new Host(this.descriptors, address)
    this.agent = agentOver({ call: (request) => this.#call(request), close: () => undefined })
    this.#install()
    this.start()
  }

  /** Its two programs begin; nothing of what they knew is left. */
  start(): void {
    this.startBroker()
    this.startAgent()
  }

  startAgent(): void {
    if (!this.isUp || this.#agent?.alive === true) return
    const process = this.#process('agent')
    this.#agent = process
    process.onEnd(() => this.#agentEnded())
    const ports = { ...this.#programPorts(process), steps: this.#ports.steps, qemuWorks: () => !this.qemuBroken }
    startSimulatedAgent(ports, (answer) => (this.#answer = answer))
  }

  startBroker(): void {
    if (!this.isUp || this.#brokerAway || this.#broker?.alive === true) return
    const process = this.#process('broker')
    this.#broker = process
    startSimulatedBroker(this.#programPorts(process))
  }

  killAgent(): void {
    this.#agent?.end()
  }

  killBroker(): void {
    this.#broker?.end()
  }

  get brokerAway(): boolean {
    return this.#brokerAway
  }

  set brokerAway(isAway: boolean) {
    this.#brokerAway = isAway
    if (isAway) this.killBroker()
    else this.startBroker()
  }

  set imageMissing(isMissing: boolean) {
    if (isMissing) for (const name of Object.keys(images)) this.disk.remove(`${this.layout.root}/${name}`)
    else this.#putImages(this.#ports.time.now())
  }

  set diskFull(isFull: boolean) {
    this.disk.full = isFull
  }

  /** Descriptors that agent and broker have open. */
  openDescriptors(): number {
    return [this.#agent, this.#broker].reduce((sum, each) => sum + (each === undefined ? 0 : this.descriptors.count(each)), 0)
  }

  isOurs(process: Process | undefined): boolean {
    return process !== undefined && process === this.#agent
  }

  powerOff(): void {
    this.isUp = false
    this.killAgent()
    this.killBroker()
  }

  /** The run is over. */
  forget(): void {
    for (const process of this.#processes) process.forget()
  }

  /** A program of the host's own. */
  hostProgram(name: string): Process {
    return this.#process(name)
  }

  powerOn(): void {
    this.isUp = true
    this.start()
  }

  /** A container can be made: what it binds is there. */
  canMount(uid: VmUid): boolean {
    return [this.layout.instance(uid), this.layout.socketDirectory(uid)].every((path) => this.disk.at(path)?.kind === 'directory')
  }

  records(): InstanceRecord[] {
    return (this.disk.list(this.layout.instances) ?? []).filter(isUid).flatMap((uid) => this.record(uid) ?? [])
  }

  /** The disks of one VM, as in an inventory. */
  record(uid: VmUid): InstanceRecord | undefined {
    if (this.disk.at(this.layout.instance(uid)) === undefined) return undefined
    const known = this.identity(uid) ?? this.#identity(`${this.layout.identityFile(uid)}.draft`)
    const disks = (this.disk.list(this.layout.disks(uid)) ?? [])
      .filter((name) => name.endsWith('.qcow2'))
      .map((name) => ({ name: name.slice(0, -'.qcow2'.length), sizeBytes: 2 ** 31, allocatedBytes: 2 ** 20 }))
    return { uid, vm: known?.vm ?? null, cluster: known?.cluster ?? null, disks, granted: this.isGranted(uid) }
  }

  isGranted(uid: VmUid): boolean {
    return this.disk.at(this.layout.grantFile(uid)) !== undefined
  }

  /** A person brings an instance directory here; `identity` is undefined where nobody can know whose it is. */
  bring(uid: VmUid, identity: { readonly vm: string; readonly cluster: string } | undefined): void {
    const { disk, layout: paths } = this
    for (const path of [paths.instance(uid), paths.instanceImages(uid), paths.disks(uid), paths.run(uid), paths.socketDirectory(uid)])
      disk.makeDirectory(path)
    disk.put(paths.diskFile(uid, 'root'), { image: { backing: `../images/${sha256('a')}`, virtualSizeBytes: 2 ** 31, sha256: '' } })
    if (identity === undefined) return
    const root = { name: 'root', sizeBytes: 2 ** 31, imageSource: 'images/tiny.qcow2', imageSha256: sha256('a') }
    const document = { version: 1, uid, ...identity, machineType: 'pc-q35-10.0', createdAt: '2026-01-01T00:00:00Z', disks: [root] }
    disk.put(paths.identityFile(uid), { text: JSON.stringify(document) })
  }

  /** A person restores what was once a copy of another node's directory of this VM, identity and all. */
  restore(uid: VmUid, from: Machine): void {
    const { disk, layout: paths } = this
    disk.makeDirectory(paths.instance(uid))
    for (const path of from.disk.below(paths.instance(uid)).toSorted()) {
      const { kind, text, image, mode } = from.disk.at(path) ?? { kind: 'socket' }
      if (kind !== 'socket') disk.put(path, { kind, text, image, mode })
    }
  }

  /** A backup of all small files of the state root: identities, grants, addresses. Returns what restores it. */
  backup(): () => void {
    const { disk } = this
    const small = (): string[] => disk.below(this.layout.root).filter((path) => isSmallFile(disk.at(path)))
    const kept = new Map(small().map((path) => [path, { ...disk.at(path) }]))
    return () => {
      for (const path of small()) if (!kept.has(path)) disk.removeTree(path)
      for (const [path, { text = '', mode = 0o640 }] of kept) disk.put(path, { text, mode })
    }
  }

  /** `rm -rf` of every instance directory, by a person. */
  loseInstances(): void {
    for (const uid of this.disk.list(this.layout.instances) ?? []) this.disk.removeTree(`${this.layout.instances}/${uid}`)
  }

  /** As a runner reads it. */
  identity(uid: VmUid) {
    return this.#identity(this.layout.identityFile(uid))
  }

  #identity(path: string) {
    const text = this.disk.at(path)?.text
    return text === undefined ? undefined : identitySchema.safeParse(JSON.parse(text)).data
  }

  #install(): void {
    const { root, store, grants, instances, sockets, admin, layoutFile } = this.layout
    for (const path of [root, `${root}/images`, store, grants, instances, sockets, admin]) this.disk.makeDirectory(path)
    this.disk.put(layoutFile, { text: '{"version":1}\n' })
    this.#putImages(this.#ports.time.now() - 3_600_000)
  }

  #putImages(modifiedMs: number): void {
    for (const [name, letter] of Object.entries(images))
      this.disk.put(`${this.layout.root}/${name}`, {
        image: { backing: undefined, virtualSizeBytes: imageBytes, sha256: sha256(letter) },
        modifiedMs,
      })
  }

  #process(name: string): Process {
    const process = new Process(`${name} of ${this.hostname}`, this.#ports.time, this.descriptors)
    this.#processes.push(process)
    this.#ports.trace(`${process.name} starts`)
    process.onEnd(() => this.#ports.trace(`${process.name} ends`))
    return process
  }

  #programPorts(process: Process) {
    const { stateRoot, lan, random, log } = this.#ports
    const { hostname, disk, descriptors, host } = this
    return { process, hostname, stateRoot, disk, descriptors, sockets: this.sockets.of(process), host, lan, random, log }
  }

  /** Swarm starts it again; locks and connections went with it. */
  #agentEnded(): void {
    const { time, random } = this.#ports
    this.#answer = undefined
    for (const fail of this.#waiting) fail(hungUp())
    time.after(random.int(500, 2_000), () => this.startAgent())
  }

  #observer(): DiskObserver {
    const disk = new RegExp(`/instances/([0-9a-f-]{36})/disks/([a-z0-9-]+)\\.qcow2$`)
    return {
      named: (path, _inode, before, by) => {
        const [, uid = '', name] = disk.exec(path) ?? []
        if (isUid(uid) && name !== undefined && this.isOurs(by))
          this.#ports.onDisk(this, uid, name, before === undefined ? 'none' : before.lockedBy === by ? 'locked' : 'unlocked')
      },
      unnaming: (path, inode, by) => {
        if (!this.isOurs(by)) return
        const [, uid = '', name] = disk.exec(path) ?? []
        if (isUid(uid) && name !== undefined) this.#ports.onUnlink(this, uid, name, inode.lockedBy === by)
        const [, granted = ''] = /\/grants\/([0-9a-f-]{36})\.json$/.exec(path) ?? []
        if (!isUid(granted)) return
        this.#ports.onRevoke(this.record(granted) ?? { uid: granted, vm: null, cluster: null, disks: [], granted: true })
      },
    }
  }

  /** HTTPS without the network: the request as the agent gets it, and what becomes of its answer. */
  async #call({ method, path, body, timeoutMs }: PskCall): Promise<{ status: number; body: string }> {
    const answer = this.#reach()
    const [, uid = ''] = /^\/v1\/vms\/([^/]+)$/.exec(path) ?? []
    if (method === 'PUT' && isUid(uid)) this.orders.set(uid, body as PrepareOrder)
    const known = method === 'PUT' && isUid(uid) ? this.record(uid) : undefined
    if (known !== undefined && known.cluster !== null) this.#ports.onOrder(known)
    const { promise: cut, reject } = Promise.withResolvers<never>()
    const cancel = this.#ports.time.after(timeoutMs, () => reject(new PortError('Unavailable', `no answer within ${timeoutMs} ms`)))
    this.#waiting.add(reject)
    try {
      if (this.slow) await Promise.race([cut, this.#pause()])
      const request = { method, path, body: body === undefined ? '' : JSON.stringify(body), signal: new AbortController().signal }
      const given = await Promise.race([cut, this.#answered(answer, request)])
      this.#reach()
      return { status: given.status, body: JSON.stringify(given.body) }
    } finally {
      cancel()
      this.#waiting.delete(reject)
    }
  }

  /** A response without a valid answer has status 500, and counts as a fault of the agent. */
  #answered(answer: AnswerControl, request: ControlRequest): Promise<ControlAnswer> {
    return answer(request).catch((error: unknown) => {
      this.#ports.onFault(`the agent of ${this.hostname} failed at ${request.method} ${request.path}: ${String(error)}`)
      return { status: 500, body: {} }
    })
  }

  #pause(): Promise<void> {
    const { time, random } = this.#ports
    return new Promise((resolve) => time.after(random.int(1_000, 9_000), resolve))
  }

  #reach(): AnswerControl {
    if (this.away || !this.isUp || !this.isConnected || this.#answer === undefined) throw hungUp()
    return this.#answer
  }
}

function hungUp(): PortError {
  return new PortError('Unavailable', 'connect ECONNREFUSED')
}

function sha256(letter: string): string {
  return letter.repeat(64)
}

function isSmallFile(one: Inode | undefined): boolean {
  return one?.kind === 'file' && one.image === undefined
}

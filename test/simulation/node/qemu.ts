import { posix } from 'node:path'
import type { Channel, ChildProcess, ChildProcesses, ProcessEnd, SpawnOptions } from '../../../src/ports/child-process.ts'
import type { Clock } from '../../../src/ports/clock.ts'
import type { SeededRandom } from '../seeded-random.ts'
import type { Descriptors } from './descriptors.ts'
import type { Inode, MemoryDisk } from './memory-disk.ts'
import { Process } from './process.ts'
import { aMac } from '../../support/branded.ts'
import type { Mac } from '../../../src/api/mac.ts'

export interface QemuPorts {
  readonly disk: MemoryDisk
  readonly descriptors: Descriptors
  readonly time: Clock
  readonly random: SeededRandom
  readonly name: string
  /** Milliseconds from the power button until the guest is off. */
  readonly shutdownMs: () => number
  readonly onSpawn: (qemu: SimulatedQemu) => void
  /** It has its disks open. */
  readonly onOpened: (qemu: SimulatedQemu) => void
  readonly onGuestUp: (qemu: SimulatedQemu) => void
  /** Its guest runs no more, whether or not the process does. */
  readonly onGuestDown: (qemu: SimulatedQemu) => void
  /** It received `quit` while its guest was running. */
  readonly onPowerCut: () => void
}

/** The process that the runner's ports spawn: QEMU with its monitor, its locks and a guest that boots, powers off and crashes. */
export function qemuProcesses(ports: QemuPorts): ChildProcesses {
  return {
    spawn: async (file, args, options) => {
      if (file.endsWith('qemu-img')) return soundDisk(options)
      if (file === 'prlimit') return { pid: 8, channels: [], ended: Promise.resolve({ kind: 'exited', code: 0 }), kill: () => undefined }
      const qemu = new SimulatedQemu(args, options, ports)
      ports.onSpawn(qemu)
      return qemu.child
    },
  }
}

/** `qemu-img check` of a disk that is fine. */
function soundDisk({ onOutput }: SpawnOptions): ChildProcess {
  onOutput(new TextEncoder().encode('{"check-errors": 0}\n'))
  return { pid: 8, channels: [], ended: Promise.resolve({ kind: 'exited', code: 0 }), kill: () => undefined }
}

interface Arguments {
  readonly 'node-name'?: string
  readonly size?: number
}

/** `query-status` in QEMU's words. */
type RunState = 'prelaunch' | 'running' | 'shutdown' | 'guest-panicked' | 'io-error'

export class SimulatedQemu {
  readonly process: Process
  readonly nics: readonly { readonly mac: Mac; readonly tap: string; readonly slot: string }[]
  readonly disks: readonly { readonly name: string; readonly slot: string }[]
  readonly child: ChildProcess
  state: RunState = 'prelaunch'
  /** The guest's system runs and answers. */
  isUp = false
  /** When its processors began to run. */
  ranSinceMs: number | undefined
  readonly #ports: QemuPorts
  readonly #options: SpawnOptions
  readonly #paths: readonly string[]
  readonly #opened: Inode[] = []
  readonly #monitor = new Monitor((command, id, args) => this.#execute(command, id, args))
  readonly #serial = new Monitor(() => undefined)
  /** No agent runs in the guest. */
  readonly #agent = new Monitor(() => undefined)
  #isPoweringOff = false
  #finish: (end: ProcessEnd) => void = () => undefined

  constructor(args: readonly string[], options: SpawnOptions, ports: QemuPorts) {
    this.#ports = ports
    this.#options = options
    this.process = new Process(`${ports.name} qemu`, ports.time, ports.descriptors)
    const files = options.fds.map((fd) => ports.descriptors.fileOf(fd)).filter((file) => file !== undefined)
    for (const file of files) ports.descriptors.install(this.process, file)
    const text = args.join('\n')
    this.#paths = [...text.matchAll(/"filename":"([^"]+\.qcow2)"/g)].map(([, path = '']) => path)
    const cards = [...text.matchAll(/"netdev":"(nic\d+)".*"mac":"([0-9a-f:]{17})".*"addr":"(0x[0-9a-f]+)"/g)]
    const taps = files.filter((file) => file.kind === 'tap').map((file) => file.name)
    const drives = [...text.matchAll(/"drive":"disk.*"serial":"([a-z0-9-]+)".*"addr":"(0x[0-9a-f]+)"/g)]
    this.disks = drives.map(([, name = '', slot = '']) => ({ name, slot }))
    // A NIC behind NAT has no TAP.
    const users = new Set([...text.matchAll(/"type":"user","id":"(nic\d+)"/g)].map(([, id]) => id))
    this.nics = cards.map(([, netdev, mac = '', slot = '']) => ({
      mac: aMac(mac),
      tap: users.has(netdev) ? '' : (taps.shift() ?? ''),
      slot,
    }))
    const ended = new Promise<ProcessEnd>((resolve) => (this.#finish = resolve))
    const kill = (signal: 'SIGTERM' | 'SIGKILL'): void => this.end({ kind: 'killed', signal })
    this.child = { pid: 7, channels: [this.#monitor.channel, this.#serial.channel, this.#agent.channel], ended, kill }
    const forget = ports.disk.onFull(() => this.#outOfRoom())
    this.process.onEnd(() => {
      forget()
      this.#gone()
    })
    this.process.clock.after(ports.random.int(20, 80), () => this.#open())
  }

  get hasDisks(): boolean {
    return this.#opened.length > 0
  }

  /** A crash, a kill, or its own end. */
  end(end: ProcessEnd): void {
    if (!this.process.alive) return
    this.process.end()
    this.#finish(end)
  }

  /** It lets go of its network, and keeps its disks. */
  dropTaps(): void {
    this.#ports.descriptors.closeAll(this.process)
  }

  panic(): void {
    if (this.state !== 'running') return
    this.#down('guest-panicked')
    this.#monitor.say({ event: 'GUEST_PANICKED', data: { action: 'pause' } })
  }

  /** The guest powers itself off. */
  shutDown(reason = 'guest-shutdown'): void {
    if (this.state !== 'running') return
    this.#down('shutdown')
    this.#monitor.say({ event: 'SHUTDOWN', data: { guest: true, reason } })
  }

  #open(): void {
    const inodes = this.#paths.map((path) => this.#ports.disk.at(path))
    const missing = inodes.indexOf(undefined)
    if (missing >= 0) return this.#fail(`Could not open '${this.#paths[missing]}': No such file or directory`)
    const busy = inodes.find((inode) => inode?.lockedBy?.alive === true)
    const orphan = this.#paths.find((path, index) => !this.#hasBacking(path, inodes[index]))
    if (orphan !== undefined) return this.#fail(`Could not open backing file of '${orphan}'`)
    if (busy !== undefined) return this.#fail('Failed to get "write" lock\nIs another process using the image?')
    for (const inode of inodes) if (inode !== undefined) this.#opened.push(inode)
    for (const inode of this.#opened) inode.lockedBy = this.process
    this.#ports.onOpened(this)
    this.#monitor.say({ QMP: { version: { qemu: { major: 10, minor: 0, micro: 2 } }, capabilities: [] } })
  }

  #hasBacking(path: string, inode: Inode | undefined): boolean {
    const backing = inode?.image?.backing
    return backing === undefined || this.#ports.disk.at(posix.join(posix.dirname(path), backing)) !== undefined
  }

  #fail(output: string): void {
    this.#options.onOutput(new TextEncoder().encode(`${output}\n`))
    this.end({ kind: 'exited', code: 1 })
  }

  #execute(command: string, id: number, args: Arguments): void {
    const answer = (value: object): void => this.#monitor.say({ id, return: value })
    switch (command) {
      case 'cont':
        answer({})
        return this.#run()
      case 'query-status':
        return answer({ status: this.state })
      case 'query-named-block-nodes':
        return answer(
          this.#opened.map(({ image }, index) => ({ 'node-name': `disk${index}`, image: { 'virtual-size': image?.virtualSizeBytes } })),
        )
      case 'block_resize':
        this.#resize(args)
        return answer({})
      case 'system_powerdown':
        answer({})
        return this.#pressed()
      case 'quit':
        answer({})
        if (this.isUp) this.#ports.onPowerCut()
        return this.end({ kind: 'exited', code: 0 })
      default:
        return answer({})
    }
  }

  #resize({ 'node-name': node = '', size = 0 }: Arguments): void {
    const image = this.#opened[Number(node.replace('disk', ''))]?.image
    if (image === undefined || size < image.virtualSizeBytes) throw new Error(`${node} shrinks to ${size}`)
    Object.assign(image, { virtualSizeBytes: size })
  }

  /** A write of the guest finds no room. */
  #outOfRoom(): void {
    if (this.state !== 'running') return
    this.#down('io-error')
    this.#monitor.say({ event: 'BLOCK_IO_ERROR', data: { operation: 'write', action: 'stop', nospace: true } })
    this.#monitor.say({ event: 'STOP' })
  }

  #run(): void {
    if (this.state !== 'prelaunch' && this.state !== 'io-error') return
    this.state = 'running'
    this.#isPoweringOff = false
    this.ranSinceMs = this.#ports.time.now()
    const { random } = this.#ports
    this.process.clock.after(random.int(800, 2_500), () => {
      if (this.state !== 'running' || this.isUp) return
      if (this.#ports.disk.full) return this.#outOfRoom()
      this.isUp = true
      this.process.clock.after(random.int(200, 1_200), () => void (this.state === 'running' && this.#ports.onGuestUp(this)))
    })
  }

  /** A guest that boots hears no button. */
  #pressed(): void {
    if (!this.isUp || this.#isPoweringOff) return
    this.#isPoweringOff = true
    this.process.clock.after(this.#ports.shutdownMs(), () => this.shutDown())
  }

  #down(state: RunState): void {
    this.state = state
    this.isUp = false
    this.#ports.onGuestDown(this)
  }

  #gone(): void {
    for (const inode of this.#opened.splice(0)) if (inode.lockedBy === this.process) inode.lockedBy = undefined
    this.#down('shutdown')
    this.#monitor.end()
    this.#serial.end()
  }
}

/** QEMU's end of a channel: JSON lines both ways. */
class Monitor {
  readonly channel: Channel
  #onData: (bytes: Uint8Array) => void = () => undefined
  #onClose: () => void = () => undefined
  #ended = false

  constructor(onCommand: (command: string, id: number, args: Arguments) => void) {
    this.channel = {
      write: (bytes) => {
        const line = new TextDecoder().decode(bytes)
        queueMicrotask(() => {
          const { execute, id, arguments: args = {} } = JSON.parse(line) as { execute: string; id: number; arguments?: Arguments }
          if (!this.#ended) onCommand(execute, id, args)
        })
      },
      onData: (listener) => void (this.#onData = listener),
      onClose: (listener) => {
        this.#onClose = listener
        if (this.#ended) listener()
      },
    }
  }

  say(message: object): void {
    const bytes = new TextEncoder().encode(`${JSON.stringify(message)}\n`)
    queueMicrotask(() => this.#onData(bytes))
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    queueMicrotask(() => this.#onClose())
  }
}

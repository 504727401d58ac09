import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fdSockets } from '../../../src/adapters/linux/fd-sockets.ts'
import { agentUid, type Layout, layout, sharedGid } from '../../../src/api/layout.ts'
import { brokerHello, type BrokerRequest, type BrokerResponse, brokerResponse } from '../../../src/api/wire/broker-admin.ts'
import type { Grant } from '../../../src/api/wire/common.ts'
import { encodeFrame, frameDecoder } from '../../../src/api/wire/frames.ts'
import type { VmUid } from '../../../src/api/names.ts'

const repository = join(import.meta.dirname, '../../..')
/** A condition that is not true by then never becomes it. */
const patienceMs = 20_000

export async function eventually<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + patienceMs
  for (;;) {
    const seen = await look()
    if (seen !== undefined && seen !== false) return seen
    if (Date.now() > deadline) throw new Error(`never happened: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

export type Message = { readonly type: string; readonly [key: string]: unknown }

/** A program that says JSON lines. */
export class Speaker {
  readonly child: ChildProcessWithoutNullStreams
  readonly said: Message[] = []
  readonly errors: string[] = []
  #read = 0

  constructor(file: string, args: readonly string[]) {
    this.child = spawn(file, [...args], { stdio: 'pipe' })
    createInterface({ input: this.child.stdout }).on('line', (line) => {
      // Prompts of other programs are not for us.
      if (line.startsWith('{')) this.said.push(JSON.parse(line) as Message)
    })
    this.child.stderr.on('data', (bytes: Buffer) => this.errors.push(bytes.toString()))
  }

  tell(command: string): void {
    this.child.stdin.write(`${command}\n`)
  }

  /** Returns the next unread message of this type, and skips others. */
  hears(type: string, match: (message: Message) => boolean = () => true): Promise<Message> {
    return eventually(`${type}; received ${JSON.stringify(this.said.slice(this.#read))} ${this.errors.join('')}`, () => {
      const at = this.said.findIndex((each, index) => index >= this.#read && each.type === type && match(each))
      if (at === -1) return undefined
      this.#read = at + 1
      return this.said[at]
    })
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const gone = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.kill(signal)
    await gone
  }
}

export class Admin {
  readonly #send: (request: object) => void
  readonly #waiting = new Map<number, (response: { response: BrokerResponse; fds: readonly number[] }) => void>()
  readonly hello: ReturnType<typeof brokerHello.parse>
  readonly close: () => void
  #lastId = 0

  private constructor(hello: unknown, send: (request: object) => void, close: () => void) {
    this.hello = brokerHello.parse(hello)
    this.#send = send
    this.close = close
  }

  static async connect(path: string): Promise<Admin> {
    const connection = await eventually('the admin socket', () =>
      fdSockets()
        .connect(path)
        .catch(() => undefined),
    )
    const decoder = frameDecoder()
    const greeted = Promise.withResolvers<Admin>()
    let admin: Admin | undefined
    connection.onData((bytes, fds) => {
      for (const frame of decoder.push(bytes)) {
        if (admin !== undefined) admin.#onResponse(brokerResponse.parse(frame), fds)
        else
          greeted.resolve(
            (admin = new Admin(
              frame,
              (request) => connection.send(encodeFrame(request)),
              () => connection.close(),
            )),
          )
      }
    })
    return greeted.promise
  }

  #onResponse(response: BrokerResponse, fds: readonly number[]): void {
    this.#waiting.get(response.id ?? -1)?.({ response, fds })
  }

  askWithFds(request: {
    type: BrokerRequest['type']
    [key: string]: unknown
  }): Promise<{ response: BrokerResponse; fds: readonly number[] }> {
    const id = ++this.#lastId
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
      this.#send({ ...request, id })
    })
  }

  async ask(request: { type: BrokerRequest['type']; [key: string]: unknown }): Promise<BrokerResponse> {
    return (await this.askWithFds(request)).response
  }

  grant(grant: Grant): Promise<BrokerResponse> {
    return this.ask({ type: 'grant', grant })
  }
}

/** A host of its own: a network namespace with br0, a state root as install-node makes it, and what is started in it. */
export class World {
  readonly namespace = `svbt-${process.pid}`
  readonly neighbour = `svbt-${process.pid}-n`
  readonly paths: Layout
  readonly #children: Speaker[] = []

  constructor() {
    this.paths = layout(mkdtempSync(join(tmpdir(), 'svbt-')))
    this.#makeRoot()
    for (const name of [this.namespace, this.neighbour]) execFileSync('ip', ['netns', 'add', name])
    this.ip('link', 'add', 'br0', 'type', 'bridge')
    this.ip('link', 'set', 'br0', 'up')
    this.ip('link', 'set', 'lo', 'up')
    this.ip('link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.neighbour)
    this.ip('link', 'set', 'up0', 'master', 'br0', 'up')
    this.neighbourIp('link', 'set', 'eth0', 'up')
    this.neighbourIp('addr', 'add', '192.168.77.2/24', 'dev', 'eth0')
  }

  ip(...args: string[]): string {
    return execFileSync('ip', ['-n', this.namespace, ...args], { encoding: 'utf8' })
  }

  neighbourIp(...args: string[]): string {
    return execFileSync('ip', ['-n', this.neighbour, ...args], { encoding: 'utf8' })
  }

  link(name: string): Record<string, unknown> | undefined {
    const all = JSON.parse(this.ip('-d', '-j', 'link', 'show')) as Record<string, unknown>[]
    return all.find((each) => each['ifname'] === name)
  }

  /** As in production: uid 0 with two capabilities and the shared group, no owner of anything it did not make. */
  startBroker({ withoutNft = false, mayMakeNodes = false, args = [] as readonly string[] } = {}): Speaker {
    const capabilities = `-all,+net_admin,+net_raw${mayMakeNodes ? ',+mknod' : ''}`
    const privileges = ['--groups', String(sharedGid), '--bounding-set', capabilities, '--inh-caps', '-all', '--no-new-privs']
    const program = [process.execPath, join(repository, 'src/broker/main.ts'), '--state-root', this.paths.root]
    // `ip netns exec` gives it a mount namespace of its own.
    const hideNft = withoutNft ? ['sh', '-c', 'mount --bind /dev/null /usr/sbin/nft && exec "$@"', 'sh'] : []
    return this.#start('ip', ['netns', 'exec', this.namespace, ...hideNft, 'setpriv', ...privileges, ...program, ...args])
  }

  /** One of the tests' own programs in the host's network, as root. */
  startInside(program: string, ...args: string[]): Speaker {
    return this.#start('ip', ['netns', 'exec', this.namespace, process.execPath, join(repository, program), ...args])
  }

  /** The same on the neighbour. */
  startBeside(program: string, ...args: string[]): Speaker {
    return this.#start('ip', ['netns', 'exec', this.neighbour, process.execPath, join(repository, program), ...args])
  }

  bridge(...args: string[]): string {
    return execFileSync('bridge', ['-n', this.namespace, ...args], { encoding: 'utf8' })
  }

  nft(...args: string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.namespace, 'nft', ...args], { encoding: 'utf8' })
  }

  /** A process with nothing but the socket: not in the namespace, and without a capability. */
  startRunner(uid: VmUid): Speaker {
    const ids = ['--reuid', '30702', '--regid', String(sharedGid), '--clear-groups']
    const privileges = ['--bounding-set', '-all', '--inh-caps', '-all', '--no-new-privs']
    const program = [process.execPath, join(import.meta.dirname, 'fake-runner.ts'), this.paths.brokerSocket(uid), uid]
    const runner = this.#start('setpriv', [...ids, ...privileges, ...program])
    runner.tell('connect')
    return runner
  }

  start(file: string, ...args: string[]): Speaker {
    return this.#start(file, args)
  }

  makeInstance(uid: VmUid): string {
    for (const [path, mode] of [
      [this.paths.instance(uid), 0o2750],
      [this.paths.disks(uid), 0o2770],
    ] as const) {
      mkdirSync(path)
      chownSync(path, agentUid, sharedGid)
      chmodSync(path, mode)
    }
    return this.paths.diskFile(uid, 'root')
  }

  async close(): Promise<void> {
    for (const child of this.#children) await child.end()
    for (const name of [this.namespace, this.neighbour]) execFileSync('ip', ['netns', 'del', name])
    rmSync(this.paths.root, { recursive: true })
  }

  #start(file: string, args: readonly string[]): Speaker {
    const speaker = new Speaker(file, args)
    this.#children.push(speaker)
    return speaker
  }

  #makeRoot(): void {
    const { admin, instances, layoutFile, root, sockets } = this.paths
    chownSync(root, 0, sharedGid)
    chmodSync(root, 0o751)
    for (const [path, uid, mode] of [
      [instances, agentUid, 0o2751],
      [sockets, 0, 0o2751],
      [admin, 0, 0o2750],
    ] as const) {
      mkdirSync(path)
      chownSync(path, uid, sharedGid)
      chmodSync(path, mode)
    }
    writeFileSync(layoutFile, '{"version":1}\n')
  }
}

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { unixSockets } from '../../../src/adapters/node/unix-sockets.ts'
import { runnerUid, sharedGid } from '../../../src/api/layout.ts'
import { encodeFrame, frameDecoder } from '../../../src/api/wire/frames.ts'
import { type GuestControl, type RunnerResponse, type RunnerStatus, runnerResponse } from '../../../src/api/wire/runner-control.ts'
import { buildGuest } from '../../lab/guests/build-guest.ts'

const uid = '11111111-1111-4111-8111-111111111111'
const netns = `svrt-${process.pid}`
const repository = join(import.meta.dirname, '../../..')
/** The Node that the project brings, whatever started the tests: older ones do not run TypeScript. */
const node = join(repository, 'node_modules/.bin/node')

/** A started program and all it has said. */
export interface Program {
  readonly child: ChildProcess
  readonly lines: Record<string, unknown>[]
  /** Resolves with the first line, said or to come, that fits. */
  line(fits: (line: Record<string, unknown>) => boolean, timeoutMs?: number): Promise<Record<string, unknown>>
  readonly exit: Promise<number | null>
}

export interface Rig {
  readonly dir: string
  readonly launch: Record<string, unknown>
  broker(): Promise<Program>
  /** As Swarm starts it: another uid, no capability, none to be had. */
  runner(...args: string[]): Program
  writeLaunch(changes?: Record<string, unknown>): void
  ask(type: 'status' | 'powerOff'): Promise<RunnerResponse>
  control(action: GuestControl): Promise<RunnerResponse>
  status(): Promise<RunnerStatus>
  serialLog(): string
  crashRecord(): Record<string, unknown> | undefined
  inNetns(...command: string[]): string
  /** Paths below a directory that somebody other than their owner can read. */
  readableByOthers(path: string): string[]
  /** Process ids of QEMU on this rig's disk. */
  qemus(): number[]
  down(): Promise<void>
}

export async function makeRig(): Promise<Rig> {
  const guest = await buildGuest('tiny')
  const dir = mkdtempSync(join(tmpdir(), 'svrt-'))
  chmodSync(dir, 0o755)
  for (const path of ['vm', 'vm/images', 'vm/disks', 'vm/run', 'scratch', 'broker']) mkdirSync(join(dir, path))
  copyFileSync(guest.path, join(dir, 'vm/images/base'))
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', '../images/base', join(dir, 'vm/disks/root.qcow2')])
  for (const path of ['vm/disks', 'vm/run', 'vm/disks/root.qcow2', 'scratch']) chownSync(join(dir, path), runnerUid, sharedGid)
  const disk = { name: 'root', sizeBytes: 50_331_648, imageSource: 'images/tiny.qcow2', imageSha256: guest.sha256.trim() }
  const identity = { version: 1, uid, vm: 'web-1', cluster: 'test', machineType: 'pc-q35-10.0', createdAt: '2026-01-01T00:00:00Z' }
  writeFileSync(join(dir, 'vm/identity.json'), JSON.stringify({ ...identity, disks: [disk] }))
  execFileSync('ip', ['netns', 'add', netns])
  const rig = new TestRig(dir)
  rig.writeLaunch()
  return rig
}

class TestRig implements Rig {
  readonly dir: string
  readonly #programs: Program[] = []
  readonly launch = {
    version: 1,
    uid,
    vm: 'web-1',
    cores: 1,
    memoryMiB: 160,
    accelerator: 'auto',
    disks: [{ name: 'root' }],
    nics: [{ name: 'lan', mac: '52:54:00:12:34:56' }],
    cloudInit: { instanceId: uid, hostname: 'web-1', sshAuthorizedKeys: ['ssh-ed25519 AAAA someone'], hasUserData: false },
    powerOffTimeoutS: 40,
  }

  constructor(dir: string) {
    this.dir = dir
  }

  writeLaunch(changes: Record<string, unknown> = {}): void {
    writeFileSync(join(this.dir, 'launch.json'), JSON.stringify({ ...this.launch, ...changes }))
  }

  async broker(): Promise<Program> {
    const script = join(repository, 'test/contract/runner/broker.ts')
    const broker = this.#start('ip', ['netns', 'exec', netns, node, script, join(this.dir, 'broker/broker.sock')])
    await broker.line((line) => line['event'] === 'listening')
    chownSync(join(this.dir, 'broker/broker.sock'), 0, sharedGid)
    return broker
  }

  runner(...args: string[]): Program {
    const drop = ['--reuid', String(runnerUid), '--regid', String(sharedGid), '--clear-groups', '--no-new-privs', '--bounding-set', '-all']
    const paths = { 'vm-dir': 'vm', 'broker-socket': 'broker/broker.sock', launch: 'launch.json', userdata: 'userdata', scratch: 'scratch' }
    const options = Object.entries(paths).flatMap(([name, path]) => [`--${name}`, join(this.dir, path)])
    const program = [node, join(repository, 'runner/main.ts'), ...options, '--machine-type', 'q35', ...args]
    return this.#start('setpriv', [...drop, '--inh-caps', '-all', ...program])
  }

  ask(type: 'status' | 'powerOff'): Promise<RunnerResponse> {
    return this.#request({ type })
  }

  control(action: GuestControl): Promise<RunnerResponse> {
    return this.#request({ type: 'control', action })
  }

  async #request(request: object): Promise<RunnerResponse> {
    const connection = await unixSockets.connect(join(this.dir, 'vm/run/control.sock'))
    try {
      return await new Promise((resolve, reject) => {
        const decoder = frameDecoder()
        connection.onData((bytes) => {
          for (const frame of decoder.push(bytes)) {
            if ((frame as { type: string }).type === 'hello') connection.send(encodeFrame({ ...request, id: 1 }))
            else resolve(runnerResponse.parse(frame))
          }
        })
        connection.onClose(() => reject(new Error('the runner hung up')))
      })
    } finally {
      connection.close()
    }
  }

  async status(): Promise<RunnerStatus> {
    const answer = await this.ask('status')
    if (answer.type !== 'status') throw new Error(`no status: ${answer.type}`)
    return answer.status
  }

  serialLog(): string {
    const path = join(this.dir, 'vm/run/serial.log')
    return existsSync(path) ? readFileSync(path, 'utf8') : ''
  }

  crashRecord(): Record<string, unknown> | undefined {
    const path = join(this.dir, 'vm/run/crash.json')
    return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>) : undefined
  }

  inNetns(...command: string[]): string {
    return execFileSync('ip', ['netns', 'exec', netns, ...command]).toString()
  }

  readableByOthers(path: string): string[] {
    const all = execFileSync('find', [join(this.dir, path), '-mindepth', '1', '-perm', '/0077']).toString()
    return all.split('\n').filter((line) => line !== '')
  }

  qemus(): number[] {
    const pids = execFileSync('ps', ['-eo', 'pid=,args=']).toString().split('\n')
    const ours = pids.filter((line) => line.includes('qemu-system') && line.includes(`${this.dir}/vm/disks`))
    return ours.map((line) => Number.parseInt(line, 10))
  }

  async down(): Promise<void> {
    for (const { child } of this.#programs) if (child.exitCode === null) child.kill('SIGKILL')
    for (const pid of this.qemus()) process.kill(pid, 'SIGKILL')
    await Promise.all(this.#programs.map(({ exit }) => exit))
    execFileSync('ip', ['netns', 'del', netns])
    rmSync(this.dir, { recursive: true })
  }

  #start(file: string, args: string[]): Program {
    const program = startProgram(file, args)
    this.#programs.push(program)
    return program
  }
}

function startProgram(file: string, args: string[]): Program {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: Record<string, unknown>[] = []
  let held = ''
  child.stdout.on('data', (chunk: Buffer) => {
    const whole = (held + chunk.toString()).split('\n')
    held = whole.pop() ?? ''
    lines.push(...whole.map((line) => JSON.parse(line) as Record<string, unknown>))
  })
  return {
    child,
    lines,
    async line(fits, timeoutMs = 240_000) {
      for (let waitedMs = 0; waitedMs < timeoutMs; waitedMs += 20) {
        const found = lines.find(fits)
        if (found) return found
        if (child.exitCode !== null && waitedMs > 1_000) break
        await delay(20)
      }
      throw new Error(`what was waited for was not said; the last lines were ${JSON.stringify(lines.slice(-5), null, 1)}`)
    },
    exit: new Promise((resolve) => child.once('close', resolve)),
  }
}

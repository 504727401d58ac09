import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { chmodSync, chownSync, closeSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AgentClient, agentClient } from '../../../src/adapters/control/agent-client.ts'
import { imageArrivals } from '../../../src/adapters/node/image-arrivals.ts'
import { fdSockets } from '../../../src/adapters/linux/fd-sockets.ts'
import { diskClaims } from '../../../src/adapters/linux/disk-claims.ts'
import { nodeFeatures } from '../../../src/api/node-features.ts'
import { loadLibc } from '../../../src/adapters/linux/libc.ts'
import { listenPsk } from '../../../src/adapters/control/psk-https.ts'
import { qemuImg } from '../../../src/adapters/node/qemu-img.ts'
import { runnerSockets } from '../../../src/adapters/node/runner-sockets.ts'
import { stateFiles } from '../../../src/adapters/node/state-files.ts'
import { systemClock } from '../../../src/adapters/process/system-clock.ts'
import { systemRandom } from '../../../src/adapters/process/system-random.ts'
import { tcpConnect } from '../../../src/adapters/node/tcp-connect.ts'
import { unixSockets } from '../../../src/adapters/node/unix-sockets.ts'
import { startAgent } from '../../../src/agent/agent.ts'
import { probeExitCode } from '../../../src/agent/kvm-probe/payload.ts'
import type { ProbeRuns, ProbeVerdict } from '../../../src/agent/kvm-prober.ts'
import type { ControlKey } from '../../../src/api/control-key.ts'
import type { ImageHost } from '../../../src/api/image-hosts.ts'
import { agentUid, type Layout, layout, sharedGid } from '../../../src/api/layout.ts'
import { maxAgentBodyBytes, type PrepareOrder, type PrepareStatus } from '../../../src/api/wire/agent-api.ts'
import type { BrokerResponse, LeaseFact, Sighting } from '../../../src/api/wire/broker-admin.ts'
import type { Grant } from '../../../src/api/wire/common.ts'
import { encodeFrame, frameDecoder } from '../../../src/api/wire/frames.ts'
import type { ControlListener } from '../../../src/ports/control-listener.ts'
import type { Log } from '../../../src/ports/log.ts'
import { aMac, aUid, aVmName } from '../../support/branded.ts'
import type { VmUid } from '../../../src/api/names.ts'

export type Keys = readonly [ControlKey, ...ControlKey[]]
export const aKey = (id = 'k1', digit = '1'): ControlKey => ({ id, hex: digit.repeat(64) })
const loopback: ImageHost = { host: '127.0.0.1', prefix: undefined, port: undefined }
const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

/** A state root as install-node leaves it. */
export function makeStateRoot(): Layout {
  const root = mkdtempSync(join(tmpdir(), 'sv-'))
  chmodSync(root, 0o755)
  for (const name of ['images', 'store', 'grants', 'instances', 'sockets', 'admin']) {
    mkdirSync(join(root, name))
    chownSync(join(root, name), agentUid, sharedGid)
    chmodSync(join(root, name), name === 'images' ? 0o755 : 0o2750)
  }
  writeFileSync(join(root, 'layout.json'), '{"version": 1}\n')
  return layout(root)
}

export const removeStateRoot = ({ root }: Layout): void => rmSync(root, { recursive: true, force: true })

/** A small standalone qcow2 with content of its own. */
export function makeImage(path: string, options: { sizeMiB?: number; payloadBytes?: number } = {}): string {
  execFileSync('qemu-img', ['create', '-q', '-f', 'raw', `${path}.raw`, `${options.sizeMiB ?? 8}M`])
  writeFileSync(`${path}.raw`, Buffer.alloc(options.payloadBytes ?? 4096, randomUUID()), { flag: 'r+' })
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', `${path}.raw`, path])
  rmSync(`${path}.raw`)
  putLongAgo(path)
  return sha256Of(path)
}

/** An image that nobody is copying in any more. */
export function putLongAgo(path: string): void {
  const aMinuteAgo = Date.now() / 1000 - 60
  utimesSync(path, aMinuteAgo, aMinuteAgo)
}

export const sha256Of = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')

export function anOrder(
  order: Partial<PrepareOrder> & { image?: { source: string; sha256: string | null }; sizeBytes?: number } = {},
): PrepareOrder {
  const { image = { source: 'images/tiny.qcow2', sha256: null }, sizeBytes = 16 * 1024 ** 2, uid = aUid(randomUUID()), ...rest } = order
  return {
    version: 1,
    uid,
    // A node has each VM once, so each uid gets a name of its own.
    vm: aVmName(`web-${uid.slice(0, 8)}`),
    cluster: 'test',
    disks: [{ name: 'root', sizeBytes, image }],
    disksMustExist: false,
    accelerator: 'auto',
    softwareEmulation: true,
    nics: [{ name: 'lan', bridge: 'br0', mac: aMac('52:54:00:00:00:01'), mtu: null }],
    ...rest,
  }
}

export interface TestAgentOptions {
  readonly layout: Layout
  readonly keys?: Keys
  readonly signal: AbortSignal
  readonly kvm?: () => ProbeVerdict
  readonly log?: Log
  readonly allowHosts?: readonly ImageHost[]
}

export async function startTestAgent(options: TestAgentOptions): Promise<ControlListener> {
  const verdict = options.kvm ?? (() => ({ verdict: 'unusable', reason: 'KvmHangs', message: 'QEMU hung under KVM' }))
  const probeRuns: ProbeRuns<undefined> = {
    tcg: async () => undefined,
    kvm: async () => undefined,
    judgeTcg: () => ({ works: true, message: '' }),
    judgeKvm: verdict,
  }
  const log = options.log ?? silent
  return await startAgent(
    {
      release: 'test',
      host: { hostname: 'n1', memoryBytes: 1024 ** 3, features: [...nodeFeatures], cpus: 2 },
      layout: options.layout,
      files: stateFiles(),
      arrivals: imageArrivals({ silenceMs: 1_000, allowHosts: options.allowHosts ?? [loopback] }),
      tool: qemuImg({ program: 'qemu-img' }),
      claims: diskClaims(loadLibc()),
      runners: runnerSockets({ layout: options.layout, deadlineMs: 500 }),
      tcpConnect,
      sockets: fdSockets(),
      closeFd: closeSync,
      probeRuns,
      listen: (answer) =>
        listenPsk({ keys: options.keys ?? [aKey()], host: '127.0.0.1', port: 0, maxBodyBytes: maxAgentBodyBytes, answer, log }),
      clock: systemClock,
      random: systemRandom,
      log,
    },
    options.signal,
  )
}

/** The program itself, as its user, with a QEMU that always ends as the probe's guest does. It ends with the cleanups. */
export async function startProgram(paths: Layout, cleanups: (() => unknown)[]): Promise<{ client: AgentClient; child: ChildProcess }> {
  const [key, qemu, tmp] = [join(paths.root, 'key'), join(paths.root, 'qemu'), join(paths.root, 'tmp')]
  mkdirSync(tmp, { recursive: true })
  chmodSync(tmp, 0o1777)
  writeFileSync(key, `k1:${'1'.repeat(64)}\n`)
  writeFileSync(qemu, `#!/bin/sh\nexit ${probeExitCode}\n`, { mode: 0o755 })
  const user = ['--reuid', String(agentUid), '--regid', String(sharedGid), '--clear-groups']
  const main = join(import.meta.dirname, '../../../src/agent/main.ts')
  const args = ['--state-root', paths.root, '--key-file', key, '--qemu', qemu, '--host', '127.0.0.1', '--port', '0']
  const mirror = ['--allow-image-host', '127.0.0.1']
  const child = spawn('setpriv', [...user, process.execPath, main, ...args, ...mirror], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'], TMPDIR: tmp },
  })
  cleanups.push(() => child.kill('SIGKILL'))
  const client = clientOf(await portOf(child))
  cleanups.push(() => client.close())
  return { client, child }
}

/** As the log says it. */
function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let said = ''
    child.stderr?.on('data', (bytes: Buffer) => {
      said += bytes.toString()
      const port = /"port":(\d+)/.exec(said)?.[1]
      if (port !== undefined) resolve(Number(port))
    })
    child.once('exit', (code) => reject(new Error(`the agent ended with ${code}: ${said}`)))
  })
}

export const clientOf = (port: number, keys: Keys = [aKey()]): AgentClient => agentClient({ address: '127.0.0.1', port, keys })

/** Sends an order again, as the controller does, until it is no longer under way. */
export async function prepared(client: AgentClient, order: PrepareOrder): Promise<PrepareStatus> {
  return await eventually(async () => {
    const status = await client.prepare(order)
    return status.state === 'preparing' ? undefined : status
  })
}

/** Asks until there is an answer; real processes have no virtual time. */
export async function eventually<Value>(ask: () => Value | undefined | Promise<Value | undefined>, ms = 60_000): Promise<Value> {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    const value = await ask()
    if (value !== undefined) return value
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error('it did not come true in time')
}

export interface FakeBroker {
  readonly grants: Map<string, Grant>
  leases: LeaseFact[]
  sightings: Sighting[]
  /** How many connections there were. */
  connections: number
  /** Reason with which grants are refused. */
  refuse: string | undefined
  bridgeAddress: string | null
  close(): void
}

/** A broker that speaks the contract and has nothing behind it. */
export async function fakeBroker({ adminSocket }: Layout, bootId = randomUUID()): Promise<FakeBroker> {
  const open = new Set<{ close(): void }>()
  const broker: FakeBroker = {
    grants: new Map(),
    leases: [],
    sightings: [],
    connections: 0,
    refuse: undefined,
    bridgeAddress: null,
    close: () => undefined,
  }
  const listener = await unixSockets.listen(adminSocket, 0o666, (connection) => {
    broker.connections += 1
    open.add(connection)
    connection.onClose(() => open.delete(connection))
    const decoder = frameDecoder()
    connection.send(
      encodeFrame({
        type: 'hello',
        protocol: 'swarmvirt.broker-admin',
        version: 1,
        bootId,
        limits: { bridges: ['br0'], macPrefix: '52:54:00' },
      }),
    )
    connection.onData((bytes) => {
      for (const frame of decoder.push(bytes)) connection.send(encodeFrame(answerOf(broker, frame as Question)))
    })
  })
  broker.close = () => {
    listener.close()
    for (const connection of open) connection.close()
    rmSync(adminSocket, { force: true })
  }
  return broker
}

type Question = { type: string; id: number; uid: VmUid; grant: Grant }

function answerOf(broker: FakeBroker, { type, id, uid, grant }: Question): BrokerResponse {
  const device = { present: true, opens: true, message: '' }
  switch (type) {
    case 'facts':
      return {
        type,
        id,
        facts: {
          devices: { kvm: device, tun: device, vhostNet: device },
          bridges: [{ name: 'br0', mtu: 1500, carrier: true, up: true, address: broker.bridgeAddress }],
        },
      }
    case 'grant':
      if (broker.refuse !== undefined) return { type: 'error', id, reason: broker.refuse, message: 'the command line does not allow it' }
      broker.grants.set(grant.uid, grant)
      return { type: 'ok', id }
    case 'revoke':
      broker.grants.delete(uid)
      return { type: 'ok', id }
    case 'leases': {
      const granted = [...broker.grants.keys()].filter((one) => !broker.leases.some((lease) => lease.uid === one))
      return { type, id, leases: [...broker.leases, ...granted.map((one) => aLease(aUid(one)))] }
    }
    case 'sightings':
      return { type, id, sightings: broker.sightings }
    case 'arp':
      return { type: 'probe', id, probe: { outcome: 'reached', reason: 'Answered', message: '', mac: aMac('52:54:00:00:00:01'), rttMs: 1 } }
    default:
      return { type: 'error', id, reason: 'DeviceMissing', message: 'this node has no /dev/kvm' }
  }
}

export function aLease(uid: VmUid, held = false): LeaseFact {
  return { uid, granted: true, held, waiting: 0, waitReason: null, waitMessage: null, nics: [] }
}

/** Serves one file at `/good`, slowly at `/slow`, and shows what else a server may do. */
export async function webServer(path: string): Promise<{ url: string; requests: string[]; close(): void }> {
  const bytes = readFileSync(path)
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(request.url ?? '')
    switch (request.url) {
      case '/good':
        return void response.writeHead(200, { 'content-length': bytes.length }).end(bytes)
      case '/redirect':
        return void response.writeHead(302, { location: '/good' }).end()
      case '/loop':
        return void response.writeHead(302, { location: '/loop' }).end()
      case '/file':
        return void response.writeHead(302, { location: 'file:///etc/passwd' }).end()
      case '/silent':
        return void response.writeHead(200, { 'content-length': bytes.length }).write(bytes.subarray(0, 100))
      case '/huge':
        return void response.writeHead(200, { 'content-length': 1024 ** 5 }).write(bytes.subarray(0, 100))
      case '/slow': {
        response.writeHead(200, { 'content-length': bytes.length })
        let sent = 0
        const timer = setInterval(() => {
          response.write(bytes.subarray(sent, sent + 4096))
          sent += 4096
          if (sent >= bytes.length) response.end()
          if (sent >= bytes.length) clearInterval(timer)
        }, 50)
        return void response.on('close', () => clearInterval(timer))
      }
      default:
        return void response.writeHead(404).end()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = (): void => {
    server.close()
    server.closeAllConnections()
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, close }
}

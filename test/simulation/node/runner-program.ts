import { layout } from '../../../src/api/layout.ts'
import type { LaunchConfig } from '../../../src/api/wire/launch.ts'
import type { ChildProcesses } from '../../../src/ports/child-process.ts'
import type { FdSockets } from '../../../src/ports/fd-socket.ts'
import type { Log } from '../../../src/ports/log.ts'
import type { PortRelay } from '../../../src/ports/port-relay.ts'
import type { RunnerFiles } from '../../../src/ports/runner-files.ts'
import { exitCodes } from '../../../runner/exit-codes.ts'
import { runnerConfig } from '../../../runner/config.ts'
import { Stop } from '../../../runner/stop.ts'
import { Supervisor } from '../../../runner/supervisor.ts'
import type { SeededRandom } from '../seeded-random.ts'
import type { Descriptors } from './descriptors.ts'
import type { MemoryDisk } from './memory-disk.ts'
import { Process } from './process.ts'
import type { VmUid } from '../../../src/api/names.ts'

export interface RunnerPorts {
  readonly process: Process
  readonly disk: MemoryDisk
  readonly descriptors: Descriptors
  readonly sockets: FdSockets
  readonly processes: ChildProcesses
  readonly random: SeededRandom
  readonly log: Log
  readonly stateRoot: string
  readonly uid: VmUid
  readonly container: string
  /** The bytes of its mounted launch config. */
  readonly launch: string
  readonly onExit: (code: number) => void
}

const launchFile = '/run/swarmvirt/launch.json'

/** The real runner, put together as its `main.ts` does it. Returns what SIGTERM does to it. */
export function startRunner(ports: RunnerPorts): () => void {
  const { process, descriptors, sockets, processes, log, uid, random } = ports
  const paths = layout(ports.stateRoot)
  const stop = new Stop()
  const config = runnerConfig(['--vm-dir', paths.instance(uid), '--broker-socket', paths.brokerSocket(uid), '--launch', launchFile])
  const supervisor = new Supervisor({
    config,
    hardening: { uid: 30702, capEff: '0', capBnd: '0', noNewPrivs: false, seccomp: 2 },
    container: ports.container,
    brokerSockets: sockets,
    controlSockets: sockets,
    closeFd: (fd) => descriptors.close(process, fd),
    processes,
    portRelay: noRelay,
    files: filesOf(ports),
    serialLog: { append: () => undefined, settled: () => Promise.resolve() },
    makeSeed: (launch) => makeSeed(process, random, launch),
    clock: process.clock,
    log,
    stop,
  })
  void supervisor.run().then((exit) => process.alive && ports.onExit(exitCodes[exit]))
  return () => stop.request('exit', 'SIGTERM')
}

/** No simulated guest sends anything, and none has a server. */
const noRelay: PortRelay = {
  connect: () => Promise.reject(new Error('connect ECONNREFUSED 127.0.0.1')),
  open: () => Promise.resolve({ problem: '', close: () => undefined }),
}

function makeSeed(process: Process, random: SeededRandom, { uid }: LaunchConfig): Promise<string> {
  return new Promise((resolve) => process.clock.after(random.int(30, 400), () => resolve(`/tmp/seed-${uid}.iso`)))
}

function filesOf({ process, disk, launch }: RunnerPorts): RunnerFiles {
  return {
    async readText(path) {
      if (!process.alive) return Process.never()
      const text = path === launchFile ? launch : disk.at(path)?.text
      if (text === undefined) throw Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), { code: 'ENOENT' })
      return text
    },
    async replaceText(path, text) {
      if (!process.alive) return Process.never()
      if (disk.full) throw Object.assign(new Error(`ENOSPC: no space left on device, open '${path}'`), { code: 'ENOSPC' })
      disk.put(path, { text }, process)
    },
    async copyOnce(_from, to) {
      if (!process.alive) return Process.never()
      if (disk.at(to) === undefined) disk.put(to, { text: 'template' }, process)
    },
    freeBytes: async () => (process.alive ? disk.freeBytes() : Process.never()),
    inode: async (path) => (process.alive ? disk.at(path)?.number : Process.never()),
  }
}

import { startAgent } from '../../../src/agent/agent.ts'
import type { ProbeRuns } from '../../../src/agent/kvm-prober.ts'
import { nodeFeatures } from '../../../src/api/node-features.ts'
import { layout } from '../../../src/api/layout.ts'
import { broker } from '../../../src/broker/broker.ts'
import type { AnswerControl } from '../../../src/ports/control-listener.ts'
import type { FdSockets } from '../../../src/ports/fd-socket.ts'
import type { Log } from '../../../src/ports/log.ts'
import type { SeededRandom } from '../seeded-random.ts'
import { memoryArrivals, memoryClaims, memoryImageTool } from './agent-tools.ts'
import type { Descriptors } from './descriptors.ts'
import { type Host, memoryLocks, memorySocketDirectories } from './host.ts'
import type { Lan } from './lan.ts'
import type { MemoryDisk } from './memory-disk.ts'
import type { Process } from './process.ts'
import { memoryRunners } from './runner-sockets.ts'
import { memoryFiles } from './state-files.ts'
import type { Steps } from './steps.ts'

export interface ProgramPorts {
  readonly process: Process
  readonly hostname: string
  readonly stateRoot: string
  readonly disk: MemoryDisk
  readonly descriptors: Descriptors
  readonly sockets: FdSockets
  readonly host: Host
  readonly lan: Lan
  readonly random: SeededRandom
  readonly log: Log
}

interface AgentPorts extends ProgramPorts {
  readonly steps: Steps
  /** The result of a probe. It does not affect running guests. */
  readonly qemuWorks: () => boolean
}

const release = '0.1.0'

/** The real agent, put together as its `main.ts` does it; `onListening` gets what answers its HTTPS requests. */
export function startSimulatedAgent(ports: AgentPorts, onListening: (answer: AnswerControl) => void): void {
  const { process, hostname, disk, descriptors, steps, random, log, sockets, lan } = ports
  const paths = layout(ports.stateRoot)
  const tools = { disk, process, steps, random }
  const parts = {
    release,
    host: { hostname, memoryBytes: 8 * 1024 ** 3, cpus: 2, features: [...nodeFeatures] },
    layout: paths,
    files: memoryFiles(disk, process, steps),
    arrivals: memoryArrivals(tools),
    tool: memoryImageTool(tools),
    claims: memoryClaims(tools),
    runners: memoryRunners(paths, sockets, process),
    tcpConnect: lan.tcpConnect,
    sockets,
    closeFd: (fd: number) => descriptors.close(process, fd),
    probeRuns: probeRuns(process, ports.qemuWorks),
    listen: async (answer: AnswerControl) => {
      onListening(answer)
      return { port: 9472, close: async () => undefined }
    },
    clock: process.clock,
    random,
    log,
  }
  void startAgent(parts, process.signal)
}

/** As in the lab: TCG works and KVM hangs. Where QEMU is broken, both fail. */
function probeRuns({ clock }: Process, qemuWorks: () => boolean): ProbeRuns<string> {
  const run = (ms: number, said: string): Promise<string> => new Promise((resolve) => clock.after(ms, () => resolve(said)))
  return {
    tcg: () => run(100, 'the payload ended'),
    kvm: () => run(200, ''),
    judgeTcg: () => (qemuWorks() ? { works: true, message: '' } : { works: false, message: 'QEMU ended with exit code 1' }),
    judgeKvm: () => ({ verdict: 'unusable', reason: 'KvmHangs', message: 'no word from the guest in 2 s' }),
  }
}

/** The real broker, put together as its `main.ts` does it. */
export function startSimulatedBroker(ports: ProgramPorts): void {
  const { process, descriptors, disk, host, lan, random, log, sockets } = ports
  const paths = layout(ports.stateRoot)
  void broker({
    layout: paths,
    limits: { bridges: ['br0'], devices: [], macPrefix: '52:54:00' },
    bootId: random.uuid(),
    sockets,
    network: host.network(process),
    filter: host.filter(process),
    forwarding: { drop: async () => undefined, accept: async () => undefined },
    fixForward: false,
    userNetworkFilter: host.userNetworkFilter(process),
    devices: host.devices(process),
    locks: memoryLocks(disk, host, paths, process, random),
    packetListener: host.packetListener(process),
    probes: { arp: async (_bridge, ip) => lan.ask(ip), ping: async (_bridge, ip) => lan.ask(ip) },
    directories: memorySocketDirectories(disk, paths),
    clock: process.clock,
    log,
    closeFds: (fds) => fds.forEach((fd) => descriptors.close(process, fd)),
  })
}

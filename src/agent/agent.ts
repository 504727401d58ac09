import type { Layout } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import type { Clock } from '../ports/clock.ts'
import type { AnswerControl, ControlListener } from '../ports/control-listener.ts'
import type { DiskClaims } from '../ports/disk-claims.ts'
import type { FdSockets } from '../ports/fd-socket.ts'
import type { ImageArrivals } from '../ports/image-arrivals.ts'
import type { ImageTool } from '../ports/image-tool.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { Runners } from '../ports/runners.ts'
import type { StateFiles } from '../ports/state-files.ts'
import type { TcpConnect } from '../ports/tcp-connect.ts'
import { brokerLink } from './broker-link.ts'
import { deleteDisks } from './delete-disks.ts'
import { diskUse } from './disk-use.ts'
import { firmwareFiles } from './firmware.ts'
import { type HostFacts, readFacts } from './facts.ts'
import { type Grants, grants } from './grants.ts'
import { grownDisks } from './grown-disks.ts'
import { learnedAddresses } from './learned-addresses.ts'
import { keepNicSlots } from './keep-nic-slots.ts'
import { keepRunPolicy } from './keep-run-policy.ts'
import { imageStore } from './image-store.ts'
import { isoStore } from './iso-store.ts'
import { liveEdits } from './live-edits.ts'
import { keepLivePart } from './live-part.ts'
import { readInventory } from './inventory.ts'
import { type KvmProber, type ProbeRuns, kvmProber } from './kvm-prober.ts'
import { orders } from './orders.ts'
import { overuseWatch } from './overuse.ts'
import { preparer } from './preparer.ts'
import { probe } from './probe.ts'
import { agentRoutes } from './routes.ts'
import { sweepTemporaries } from './sweep-temporaries.ts'
import { quietFiles } from './quiet-files.ts'
import { readVmStatus } from './vm-status.ts'

export interface AgentParts<Run> {
  readonly release: string
  readonly host: HostFacts
  readonly layout: Layout
  readonly files: StateFiles
  readonly arrivals: ImageArrivals
  readonly tool: ImageTool
  readonly claims: DiskClaims
  readonly runners: Runners
  readonly tcpConnect: TcpConnect
  readonly sockets: FdSockets
  readonly closeFd: (fd: number) => void
  readonly probeRuns: ProbeRuns<Run>
  readonly listen: (answer: AnswerControl) => Promise<ControlListener>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** Runs an agent until the signal is aborted. Rejects if its port cannot be opened. */
export async function startAgent<Run>(parts: AgentParts<Run>, signal: AbortSignal): Promise<ControlListener> {
  await sweepTemporaries(parts)
  const { broker, grants, prober } = brokerSide(parts, signal)
  const images = imageStore({ ...parts, signal })
  const isos = isoStore({ ...parts, signal })
  const useOf = (uid: VmUid) => diskUse(broker, parts.runners, uid, signal)
  const prepareDisks = preparer({ ...parts, images, useOf, signal })
  const addresses = learnedAddresses(parts)
  const overuse = overuseWatch(parts)
  const listener = await parts.listen(
    agentRoutes({
      facts: () => readFacts({ ...parts, broker, prober, overuse: () => overuse.latest() }),
      instances: () => readInventory(parts.layout, parts.files, grants),
      orders: orders({
        prepareDisks,
        deleteDisks: (order) => deleteDisks({ ...parts, useOf }, order),
        grownDisks: (uid) => grownDisks(parts, uid),
        keepLivePart: (order) => keepLivePart({ ...parts, isos }, order),
        liveEdits: liveEdits(parts),
        firmware: firmwareFiles({ ...parts, features: parts.host.features, quiet: quietFiles(parts.clock), signal }),
        keepNicSlots: (order) => keepNicSlots(parts, order),
        keepRunPolicy: (order) => keepRunPolicy(parts, order),
        grants,
        broker,
        prober,
      }),
      vm: (uid, callerSignal) => readVmStatus({ ...parts, grants, broker, addresses }, uid, callerSignal),
      runners: parts.runners,
      probe: (request, callerSignal) => probe(request, { broker, tcpConnect: parts.tcpConnect, runners: parts.runners }, callerSignal),
    }),
  )
  void images.sweep()
  void broker.run(signal)
  void prober.run(signal)
  void overuse.run(signal)
  return listener
}

function brokerSide<Run>(
  parts: AgentParts<Run>,
  signal: AbortSignal,
): { broker: ReturnType<typeof brokerLink>; grants: Grants; prober: KvmProber } {
  const { layout, files, sockets, closeFd, clock, log } = parts
  const broker = brokerLink({
    sockets,
    path: layout.adminSocket,
    clock,
    log,
    closeFd,
    onConnected: (hello) => {
      log.info({ bootId: hello.bootId, version: hello.version }, 'Connected to the broker')
      void nodeGrants.renew(signal)
      prober.kick()
    },
  })
  const nodeGrants = grants({ layout, files, broker, clock, log })
  const prober = kvmProber({ runs: parts.probeRuns, openKvm: (timeoutMs) => broker.openKvm(timeoutMs), closeFd, clock, log })
  return { broker, grants: nodeGrants, prober }
}

import { type ConditionDraft, type ConditionStatus, type ConditionType, condition } from '../../api/conditions.ts'
import { cloudInitInstanceAnnotation } from '../../api/manifest/annotations.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { LeaseFact, Sighting } from '../../api/wire/broker-admin.ts'
import type { ProbeOutcome } from '../../api/wire/agent-api.ts'
import type { NicGrant } from '../../api/wire/common.ts'
import { parentOf } from '../../api/nic-attachment.ts'
import { responseTo } from '../../api/qemu-run-states.ts'
import type { ReachabilitySeen } from './observe.ts'
import { type ExpectedAddress, pickAddress, seenAt } from './address.ts'
import { whyOfAnother } from './of-task.ts'
import { isUserNic, type VmNic } from '../shared/applied.ts'
import { dissenters, type Probing, type PublishedProbe } from './probing.ts'

type Readiness = NonNullable<VirtualMachine['spec']['readiness']>
type Finding = Omit<ConditionDraft, 'type'>
type Check = readonly [ConditionType, (seen: ReachabilitySeen, nowMs: number) => Finding]

const checkTypes = ['GuestRunning', 'LinkAttached', 'AddressLearned', 'Reachable', 'GuestReady'] as const satisfies ConditionType[]

const warnings = ['LinkUnfiltered', 'LinkDegraded'] as const satisfies ConditionType[]

const checks: readonly Check[] = [
  ['GuestRunning', guestRunning],
  ['LinkAttached', linkAttached],
  ['AddressLearned', addressLearned],
  ['Reachable', reachable],
  ['GuestReady', guestReady],
]

/** Runs the checks in order; conditions after the first one that is not True are Unknown. */
export function runChecks(seen: ReachabilitySeen, nowMs: number): ConditionDraft[] {
  const drafts: ConditionDraft[] = []
  let stopped: ConditionType | undefined
  for (const [type, check] of checks) {
    const finding = stopped === undefined ? check(seen, nowMs) : found('Unknown', `WaitingFor${stopped}`, `waiting for ${stopped}`)
    drafts.push({ type, ...finding })
    if (stopped === undefined && finding.status !== 'True') stopped = type
  }
  return [...drafts, { type: 'LinkUnfiltered', ...linkUnfiltered(seen) }, { type: 'LinkDegraded', ...linkDegraded(seen) }]
}

/** True if all checks pass. A guest with a warning about its link can be Ready. */
export function allPass(drafts: readonly ConditionDraft[]): boolean {
  return drafts.every((one) => warnings.some((type) => type === one.type) || one.status === 'True')
}

/** The same finding for every condition: the VM is halted, or its agent is unreachable. */
export function allConditions(status: ConditionStatus, reason: string, message: string): ConditionDraft[] {
  return [...checkTypes, ...warnings].map((type) => condition(type, status, reason, message))
}

function found(status: ConditionStatus, reason: string, message: string): Finding {
  return { status, reason, message }
}

function guestRunning({ vm, task, isPredecessor, node, status }: ReachabilitySeen): Finding {
  if (task === undefined || task.nodeId === undefined) return found('False', 'NoTask', 'no node runs a task of the VM')
  const known = status?.known === true ? status.value : undefined
  const where = node?.hostname ?? task.nodeId
  if (known === undefined) return found('False', 'NotPrepared', `the agent on ${where} does not know the VM`)
  // Check the broker first: on the control socket the previous runner may still answer, or hang.
  const waiting = known.lease !== null && known.lease.waiting > 0 ? known.lease : undefined
  if (waiting?.waitReason != null) {
    return found('False', waitingPhase(waiting.waitReason), `the task on ${where} is waiting: ${waiting.waitMessage ?? waiting.waitReason}`)
  }
  if (isPredecessor)
    return found('False', 'TaskNotRunning', `Swarm has not yet replaced the task on ${where}, which runs the previous template`)
  // Until the task runs, its predecessor with the previous template may still answer.
  if (task.state !== 'running') return found('False', 'TaskNotRunning', `the task on ${where} is ${task.state}`)
  const another = whyOfAnother(task, known)
  if (another !== undefined) return found('False', 'PreviousTask', `the task on ${where} has not taken over yet: ${another}`)
  // A runner that is not responding may still run its guest.
  if (known.runner === null)
    return found('Unknown', 'RunnerUnreachable', `the runner on ${where} is not responding${runnerDetail(known.runnerMessage)}`)
  const { phase, state, qemuStatus, message, accelerator, watchdogFiredAt } = known.runner
  if (phase !== 'Running') return found('False', reasonOf(phase, state), message || `the runner is in phase ${phase}`)
  if (state === 'Paused' && qemuStatus === 'paused')
    return found('False', 'Paused', `on ${where} ${message}; to let it run again: docker vm unpause ${vm}`)
  if (qemuStatus !== 'running') return paused(where, qemuStatus, message)
  const fired = watchdogFiredAt === undefined ? '' : `; its watchdog fired at ${watchdogFiredAt}, so the guest had stopped responding`
  return found('True', 'Running', `on ${where} with ${accelerator ?? 'an unknown accelerator'}${fired}`)
}

/** A runner's state says more than its phase, which keeps the words of release 0.1. */
function reasonOf(phase: string, state: string | undefined): string {
  return state !== undefined && ['CrashLoopBackOff', 'DiskCorrupt', 'Succeeded', 'Failed'].includes(state) ? state : phase
}

function paused(where: string, qemuStatus: string | null, message: string): Finding {
  const isFull = qemuStatus !== null && responseTo(qemuStatus) === 'continueWithRoom'
  if (!isFull) return found('False', 'GuestNotRunning', message || `QEMU reports ${qemuStatus ?? 'no state'}`)
  // A runner of release 0.1 sends no message, and does not resume the guest.
  const why = message || 'the file system of the disks is full: QEMU paused the guest. Make room, then restart the VM'
  return found('False', 'DiskFull', `on ${where} ${why}`)
}

/** The runner's own reason for the same state. */
function waitingPhase(waitReason: string): string {
  return ['WaitingForPrevious', 'ImageLocked', 'TapBusy'].includes(waitReason) ? 'WaitingForPrevious' : 'WaitingForGrant'
}

function linkAttached(seen: ReachabilitySeen): Finding {
  const problem = relayProblem(seen)
  if (problem !== undefined) return found('False', 'PortNotForwarded', problem)
  const bridged = grantedOf(seen.nics)
  if (bridged.length === 0 && seen.nics.length > 0)
    return found('True', 'BehindNat', `${seen.nics[0]?.name ?? ''} is behind the NAT of its task`)
  return tapsAttached(seen, bridged)
}

function tapsAttached({ status }: ReachabilitySeen, nics: readonly NicGrant[]): Finding {
  const known = status?.known === true ? status.value : undefined
  const lease = known?.lease
  if (lease === undefined || lease === null) {
    const away = known?.brokerMessage ?? ''
    return away === '' ? found('False', 'NoLease', 'the broker has no lease of this VM') : found('Unknown', 'BrokerUnreachable', away)
  }
  if (!lease.held) return found('False', lease.waitReason ?? 'LeaseNotHeld', lease.waitMessage ?? 'no runner holds the lease')
  const missing = nics.find((nic) => lease.nics.every((one) => one.name !== nic.name))
  if (missing !== undefined) return found('False', 'NicMissing', `the running VM has no NIC ${missing.name}`)
  const loose = lease.nics.find((one) => !one.attached || !one.carrier)
  if (loose === undefined) return found('True', 'Attached', lease.nics.map(attachedTo).join(', '))
  if (loose.direct !== undefined && !loose.attached)
    return found(
      'False',
      'NotAttached',
      `the macvtap ${loose.direct.link} on ${loose.bridge} is gone, and the guest sends into nothing; restart the VM`,
    )
  return loose.attached
    ? found('False', 'NoCarrier', `${loose.tap} has no carrier: QEMU does not have it open`)
    : found('False', 'NotAttached', `${loose.tap} is not a port of ${loose.bridge}`)
}

function attachedTo({ tap, bridge, direct }: LeaseFact['nics'][number]): string {
  if (direct === undefined) return `${tap} on ${bridge}`
  return `${direct.link} directly on ${bridge} (mode ${direct.mode}; the node itself cannot reach the guest through it)`
}

const reachesPorts = "reach this node's Swarm, Docker and control ports"

function linkUnfiltered({ status, node, task }: ReachabilitySeen): Finding {
  const known = status?.known === true ? status.value : undefined
  const lease = known?.lease
  const isAnother = known !== undefined && task !== undefined && whyOfAnother(task, known) !== undefined
  if (lease?.held !== true || isAnother) return found('Unknown', 'WaitingForLinkAttached', 'no runner holds the lease')
  const where = node?.hostname ?? 'the node'
  const means = `the guest can use other MAC addresses and ${reachesPorts}`
  if (lease.guestFilter === undefined)
    return found('True', 'BrokerOutdated', `the broker or agent on ${where} is of release 0.1, which has no filter: ${means}`)
  const { state, message, unlocked = [] } = lease.guestFilter
  const isAsked = unlocked.length === lease.nics.length
  if (state === 'inactive') {
    const risk = isAsked ? `the guest can ${reachesPorts}` : means
    return found('True', 'FilterUnavailable', `${where} cannot filter the guest's traffic (${message}): ${risk}`)
  }
  const ports = 'packets to its own Swarm, Docker and control ports'
  if (unlocked.length === 0) return found('False', 'Filtered', `${where} drops frames with other MAC addresses and ${ports}`)
  const off = `antiSpoof: off lets the guest use any MAC address on ${unlocked.join(', ')}`
  return found('False', 'AntiSpoofOff', `${where} drops ${ports}; ${off}`)
}

/** The NICs are attached, but the node may lose some of their frames. */
function linkDegraded({ status, task }: ReachabilitySeen): Finding {
  const known = status?.known === true ? status.value : undefined
  const lease = known?.lease
  const isAnother = known !== undefined && task !== undefined && whyOfAnother(task, known) !== undefined
  if (lease?.held !== true || isAnother) return found('Unknown', 'WaitingForLinkAttached', 'no runner holds the lease')
  const [first, ...others] = lease.nics.flatMap(({ problem }) => problem ?? [])
  if (first === undefined) return found('False', 'Healthy', 'the node has no known reason to lose frames of the guest')
  return found(
    'True',
    first.reason,
    [first, ...others]
      .map(({ message }) => message)
      .join('; ')
      .slice(0, 2_000),
  )
}

function addressLearned(seen: ReachabilitySeen, nowMs: number): Finding {
  const { status } = seen
  const nics = grantedOf(seen.nics)
  const [nic] = seen.nics
  if (nic !== undefined && isUserNic(nic)) return found('True', 'BehindNat', `the NAT of the task gives ${nic.name} its address`)
  const sightings = status?.known === true ? (status.value?.sightings ?? []) : []
  const mac = nic?.mac
  const sighting = pickAddress(sightings, mac)
  if (sighting !== undefined) {
    const unexpected = nics.map((one) => unexpectedAddress(seen, one, pickAddress(sightings, one.mac), nowMs))
    return (
      unexpected.find((one) => one !== undefined) ?? found('True', sighting.via === 'dhcp' ? 'ByDhcp' : 'ByArp', learned(sighting, nowMs))
    )
  }
  const selfMade = sightings.find((one) => one.mac === mac && one.ip.startsWith('169.254.'))
  if (selfMade !== undefined)
    return found(
      'False',
      'NoLeaseGiven',
      `the guest uses the link-local address ${selfMade.ip}: no DHCP server answers ${mac} on ${parent(nic)}`,
    )
  const fixed = seen.expected.get(nic?.name ?? '')?.from === 'ipv4'
  const hint = fixed ? 'ipv4 needs cloud-init in the guest' : 'use this MAC for a DHCP reservation'
  return found('False', 'NotHeard', `no packet from ${mac} on ${parent(nic)} yet; ${hint}${passesMacs(nic)}`)
}

function learned({ ip, via, ageMs, interface: where }: Sighting, nowMs: number): string {
  return `${ip} by ${via === 'dhcp' ? 'DHCP' : 'ARP'}, seen at ${seenAt(ageMs, nowMs)} on ${where}`
}

/** The manifest expects another address than the one that the NIC has. A NIC beside the primary one may have none. */
function unexpectedAddress(seen: ReachabilitySeen, nic: NicGrant, sighting: Sighting | undefined, nowMs: number): Finding | undefined {
  const expected = seen.expected.get(nic.name)
  if (expected === undefined || sighting === undefined || expected.ip === sighting.ip) return undefined
  const message = `${nic.mac} has ${learned(sighting, nowMs)}; the manifest expects ${expected.ip}: ${whyAnother(nic, expected)}`
  return found('False', 'UnexpectedAddress', message)
}

function whyAnother({ mac }: NicGrant, { ip, from }: ExpectedAddress): string {
  switch (from) {
    case 'dhcp':
      return `the DHCP server lacks a reservation such as dhcp-host=${mac},${ip}, or the guest sets its address itself`
    case 'ipv4':
      return `cloud-init applies ipv4 at the first boot of an instance; give the VM a new ${cloudInitInstanceAnnotation}, or change the address in the guest`
  }
}

function reachable({ probing, nics: [first], node }: ReachabilitySeen): Finding {
  const nic = first === undefined || isUserNic(first) ? undefined : first
  switch (probing.kind) {
    case 'behindNat':
      return publishedReachable(probing.published, node?.hostname ?? 'its node')
    case 'notYet':
      return found('Unknown', 'NotProbed', 'no address has been probed yet')
    case 'vlan':
      return found(
        'Unknown',
        'VlanNotProbed',
        `other nodes cannot probe VLAN ${probing.vlan} on ${parent(nic)}: their probes have no VLAN tag`,
      )
    case 'nobody':
      return found(
        'Unknown',
        'NoOtherNode',
        `no other ready node has ${nic?.direct === undefined ? 'bridge' : 'an allowed device'} ${parent(nic)}, so the guest cannot be probed`,
      )
    case 'silent':
      return found('Unknown', 'AgentUnreachable', `no agent on another node is responding (${probing.message})`)
    case 'done': {
      const { arp, hostname } = probing.probed
      if (arp.outcome === 'unknown') return found('Unknown', arp.reason, `${hostname}: ${arp.message}`)
      if (arp.outcome === 'unreached') return found('False', arp.reason, `${hostname} got no answer: ${arp.message}`)
      if (arp.mac === nic?.mac)
        return found(
          'True',
          'Answered',
          `${hostname} reached ${arp.mac ?? ''} over ${parent(nic)}${rtt(arp.rttMs)}${dissent(probing, parent(nic))}`,
        )
      return found(
        'False',
        'AddressTakenByAnother',
        `${hostname} was answered by ${arp.mac ?? 'an unknown MAC'} instead of ${nic?.mac ?? ''}: two hosts use the address`,
      )
    }
  }
}

function publishedReachable(published: PublishedProbe, node: string): Finding {
  switch (published.kind) {
    case 'none':
      return found('True', 'NotPublished', 'behind NAT, without a published TCP port: only other VMs reach its ports, under its name')
    case 'noAddress':
      return found('Unknown', 'NoNodeAddress', `Docker reports no IPv4 address of ${node}, so the ports that it publishes cannot be probed`)
    case 'nobody':
      return found('Unknown', 'NoOtherNode', `no other node is ready, so the ports that ${node} publishes cannot be probed`)
    case 'silent':
      return found('Unknown', 'AgentUnreachable', `no agent on another node is responding (${published.message})`)
    case 'asked': {
      const { hostname, request, outcome } = published.asked
      const what = `port ${request.port} of ${node}`
      if (outcome.outcome === 'reached') return found('True', 'PortAnswered', `${hostname} reached ${what}, which leads to the VM`)
      return found(
        outcome.outcome === 'unreached' ? 'False' : 'Unknown',
        outcome.reason,
        `${hostname} did not reach ${what}: ${outcome.message}`,
      )
    }
  }
}

/** The node that reached the guest decides; the others need a check. */
function dissent(probing: Probing, bridge: string): string {
  const names = dissenters(probing).map(({ hostname }) => hostname)
  return names.length === 0 ? '' : `, but ${names.join(' and ')} did not: check the link of ${bridge} there`
}

function guestReady({ declaration, probing }: ReachabilitySeen): Finding {
  const readiness = declaration.kind === 'present' ? declaration.vm.spec.readiness : undefined
  if (readiness === undefined) return found('True', 'NoProbe', 'the manifest has no readiness probe')
  const { outcome, from } = readinessIn(probing)
  const what = describeProbe(readiness)
  if (probing.kind === 'behindNat' && !worksBehindNat(readiness))
    return found(
      'Unknown',
      'PingBehindNat',
      `no node can probe a guest behind NAT with ${what}: use readiness.tcp with a forwarded port, guestAgent or exec`,
    )
  if (outcome === undefined) return found('Unknown', 'NotProbed', `${what} has not been probed yet`)
  switch (outcome.outcome) {
    case 'reached':
      return found('True', 'Answered', `${what} answered ${from}${rtt(outcome.rttMs)}`)
    case 'unreached':
      return found('False', outcome.reason, `${what} from ${from}: ${outcome.message}`)
    case 'unknown':
      return found('Unknown', outcome.reason, `${what} from ${from}: ${outcome.message}`)
  }
}

/** A virtual or wireless device may pass only its own MAC. */
function passesMacs(nic: NicGrant | undefined): string {
  if (nic?.direct === undefined) return ''
  const { device } = nic.direct
  return `. If nothing arrives, ${device} may filter other MAC addresses: try \`ip link set ${device} promisc on\` on the node, and allow them on its switch`
}

function parent(nic: NicGrant | undefined): string {
  return nic === undefined ? '' : parentOf(nic)
}

function readinessIn(probing: Probing): { readonly outcome: ProbeOutcome | undefined; readonly from: string } {
  if (probing.kind === 'done') return { outcome: probing.probed.readiness, from: probing.probed.readinessFrom.hostname }
  if (probing.kind !== 'behindNat') return { outcome: undefined, from: '' }
  return { outcome: probing.readiness?.outcome, from: `the runner on ${probing.readiness?.hostname ?? 'its node'}` }
}

/** Why the runner does not forward all ports. */
function relayProblem({ status }: ReachabilitySeen): string | undefined {
  const runner = status?.known === true ? status.value?.runner : undefined
  return runner?.relay?.problem || undefined
}

/** NICs of a bridge. */
function grantedOf(nics: readonly VmNic[]): readonly NicGrant[] {
  return nics.flatMap((nic) => (isUserNic(nic) ? [] : [nic]))
}

function describeProbe(readiness: Readiness): string {
  if ('tcp' in readiness) return `tcp ${readiness.tcp}`
  if ('http' in readiness) return `http ${readiness.http.port} ${readiness.http.path}`
  if ('ssh' in readiness) return `ssh ${readiness.ssh}`
  if ('guestAgent' in readiness) return 'guestAgent'
  return 'exec' in readiness ? `exec ${readiness.exec.command[0] ?? ''}` : 'ping'
}

function worksBehindNat(readiness: Readiness): boolean {
  return 'tcp' in readiness || 'guestAgent' in readiness || 'exec' in readiness
}

function rtt(ms: number | null): string {
  return ms === null ? '' : ` in ${ms.toFixed(1)} ms`
}

/** The agent's error without its beginning, which only repeats the finding. */
function runnerDetail(message: string): string {
  const detail = message.replace(/^the runner does not answer(: )?/, '')
  return detail === '' ? '' : `: ${detail}`
}

import type { ConditionDraft } from '../../api/conditions.ts'
import { parentOf } from '../../api/nic-attachment.ts'
import type { ProbeOutcome, ProbeRequest, VmStatus } from '../../api/wire/agent-api.ts'
import { sshPortName } from '../../api/manifest/spec/user-network.ts'
import type { Sighting } from '../../api/wire/broker-admin.ts'
import type { NicView, PortView } from '../../api/wire/controller-api.ts'
import type { ForwardedPort } from '../../api/wire/launch.ts'
import { probeMark, vmMark } from '../../api/wire/unchanged.ts'
import type { CachedAnswer, Plan } from '../reconciler.ts'
import { pickAddress, seenAt } from './address.ts'
import { whyOfAnother } from './of-task.ts'
import { dissenters, type Probing } from './probing.ts'
import type { ReachabilitySeen } from './observe.ts'
import { isUserNic, type VmNic } from '../shared/applied.ts'
import { whyAway } from '../shared/away.ts'
import { publishedAddress } from '../shared/node-address.ts'
import { judgeHalted } from './halted.ts'
import { isOffReason } from '../shared/run-wish.ts'
import { isYoung } from '../shared/vm-service.ts'
import { allPass, allConditions, runChecks } from './checks.ts'
import type { NodeId } from '../../api/names.ts'

/** The guest is starting or stopping. */
const movingMs = 1_000
/** The task has been failing for minutes, or there is none; the services reconciler notices a new one. */
const stuckMs = 5_000
/** The VM has no node, so no agent is asked; an event reports when that changes. */
const nobodyMs = 60_000
const steadyMs = 10_000

export function planReachability(seen: ReachabilitySeen, nowMs: number): Plan<never> {
  const { declaration } = seen
  if (declaration.kind !== 'present') return { actions: [], conditions: [], next: { kind: 'settled' }, nics: [] }
  const halted = seen.wish?.kind === 'off'
  const conditions = halted ? judgeHalted(seen) : judge(seen, nowMs)
  const steady = halted ? conditions.every((one) => isOffReason(one.reason)) : allPass(conditions)
  const waitingMs = seen.status === undefined ? nobodyMs : stuckMs
  const isMoving = halted ? conditions.some((one) => one.reason === 'Stopping') : isYoung(seen.task, nowMs)
  const ms = steady ? steadyMs : isMoving ? movingMs : waitingMs
  const plan: Plan<never> = {
    actions: [],
    conditions,
    next: { kind: 'requeueAfter', ms },
    facts: factsOf(seen, halted),
    nics: nicViews(seen, halted, nowMs),
  }
  return steady ? { ...plan, cachedAnswers: cachedAnswersOf(seen, halted) } : plan
}

/** The agents' answers behind the conditions of a VM that is reachable or off. */
function cachedAnswersOf({ uid, node, status, probing }: ReachabilitySeen, halted: boolean): readonly CachedAnswer[] {
  const vm = status?.known === true ? status.value : undefined
  if (uid === undefined || node === undefined || vm === undefined) return []
  const own: CachedAnswer = { nodeId: node.id, known: { kind: 'vm', uid, mark: vmMark(vm) } }
  if (halted) return [own]
  if (probing.kind === 'behindNat') {
    const asked = [
      ...(probing.published.kind === 'asked' ? [probing.published.asked] : []),
      ...(probing.readiness ? [probing.readiness] : []),
    ]
    return [
      own,
      ...asked.map(
        ({ nodeId, request, outcome }): CachedAnswer => ({ nodeId, known: { kind: 'probe', request, mark: probeMark(outcome) } }),
      ),
    ]
  }
  if (probing.kind !== 'done') return []
  const probe = (nodeId: NodeId, request: ProbeRequest | undefined, outcome: ProbeOutcome | undefined): CachedAnswer[] =>
    request === undefined || outcome === undefined ? [] : [{ nodeId, known: { kind: 'probe', request, mark: probeMark(outcome) } }]
  const answers = [probing.probed, ...dissenters(probing)].flatMap(({ nodeId, requests, readinessFrom, arp, readiness }) => [
    ...probe(nodeId, requests.arp, arp),
    ...probe(readinessFrom.id, requests.readiness, readiness),
  ])
  return [own, ...answers]
}

function judge(seen: ReachabilitySeen, nowMs: number): ConditionDraft[] {
  const { status, node } = seen
  if (status === undefined || status.known) return runChecks(seen, nowMs)
  // An unreachable agent says nothing about the guest on its node.
  const { reason, message } = whyAway(node, status.message)
  return allConditions('Unknown', reason, message)
}

/** Shown beside the conditions; a key is absent while its value is unknown. */
function factsOf(seen: ReachabilitySeen, halted: boolean): Readonly<Record<string, string>> {
  const { uid, node, probing, task } = seen
  const [nic] = seen.nics
  const vm = ofTask(seen)
  const facts = {
    uid,
    node: node?.hostname,
    task: task?.id,
    mac: nic?.mac,
    ip: addressOf(seen, nic, halted)?.ip,
    ssh: sshOf(seen, halted),
    accelerator: vm?.runner?.accelerator ?? undefined,
    probeNode: probeNodeOf(probing),
    notReachedFrom:
      dissenters(probing)
        .map(({ hostname }) => hostname)
        .join(' ') || undefined,
  }
  return Object.fromEntries(Object.entries(facts).filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function portView({ published, ...port }: ForwardedPort): PortView {
  return { ...port, ...(published === undefined ? {} : { published }) }
}

function probeNodeOf(probing: Probing): string | undefined {
  if (probing.kind === 'done') return probing.probed.hostname
  return probing.kind === 'behindNat' && probing.published.kind === 'asked' ? probing.published.asked.hostname : undefined
}

/** Where a person reaches the guest's SSH server: a port of its node. */
function sshOf({ nics, node }: ReachabilitySeen, halted: boolean): string | undefined {
  const port = nics.flatMap((nic) => (isUserNic(nic) ? nic.user.ports : [])).find(({ name }) => name === sshPortName)?.published
  if (port === undefined) return undefined
  const address = publishedAddress(node)
  return address === undefined || halted ? String(port) : `${address}:${port}`
}

function nicViews(seen: ReachabilitySeen, halted: boolean, nowMs: number): NicView[] {
  return seen.nics.map((nic): NicView => {
    if (isUserNic(nic)) return { name: nic.name, bridge: '', kind: 'user', mac: nic.mac, ports: nic.user.ports.map(portView) }
    const { name, mac, mtu } = nic
    const sighting = addressOf(seen, nic, halted)
    const size = mtu === null ? {} : { mtu }
    return {
      name,
      bridge: parentOf(nic),
      ...(nic.direct === undefined ? {} : { kind: 'direct' as const }),
      mac,
      ...size,
      ...(sighting === undefined ? {} : { address: sighting.ip, seenAt: seenAt(sighting.ageMs, nowMs) }),
    }
  })
}

/** A seen address outlives its guest, so a VM that is off has none. */
function addressOf(seen: ReachabilitySeen, nic: VmNic | undefined, halted: boolean): Sighting | undefined {
  return halted ? undefined : pickAddress(ofTask(seen)?.sightings ?? [], nic?.mac)
}

function ofTask({ status, task }: ReachabilitySeen): VmStatus | undefined {
  const vm = status?.known === true ? status.value : undefined
  return vm === undefined || task === undefined || whyOfAnother(task, vm) === undefined ? vm : undefined
}

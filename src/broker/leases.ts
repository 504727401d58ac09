import type { VmUid } from '../api/names.ts'
import { parentOf } from '../api/nic-attachment.ts'
import type { GuestFilterFact, LeaseFact } from '../api/wire/broker-admin.ts'
import type { Grant, NicGrant } from '../api/wire/common.ts'
import type { Clock } from '../ports/clock.ts'
import type { TapLock } from '../ports/guest-filter.ts'
import { HostError } from '../ports/host-network.ts'
import type { Log } from '../ports/log.ts'
import { type GrantVerdict, judgeGrant, type Limits } from './grants.ts'
import { type Host, checkHost, nothingInTheWay } from './host-view.ts'
import {
  type ConnectionId,
  decide,
  type Decision,
  freshLease,
  hold,
  join,
  type Lease,
  leave,
  needsHost,
  nicsEver,
  seatProven,
  withGrant,
} from './lease.ts'
import { type BrokerNic, brokerNicOf, grantedNicOf, hostSideMac, linkOf, openDevices, type OpenedDevices } from './nics.ts'
import { type LeaseHolder, NodePower } from './node-power.ts'
import type { RunnerLink } from './runner-link.ts'
import type { ForwardDrops } from './forward-drops.ts'
import { linkProblem } from './link-problems.ts'
import type { TapLocks } from './tap-locks.ts'

/** Recheck interval, since a released lock or TAP sends no event. */
const recheckMs = 150
/** Retry delay after a host error, such as a lack of descriptors. */
const retryMs = 1_000

export interface LeasesOptions {
  readonly host: Host
  readonly limits: Limits
  readonly tapLocks: Pick<TapLocks, 'lock' | 'lockOf' | 'refuse' | 'fact'>
  readonly forward: Pick<ForwardDrops, 'problem'>
  readonly clock: Clock
  readonly log: Log
  readonly closeFds: (fds: readonly number[]) => void
  /** Called when a lease gets these TAPs, or loses all of them. */
  readonly onTaps: (uid: VmUid, nics: readonly BrokerNic[]) => void
}

interface Vm {
  lease: Lease
  readonly links: Map<ConnectionId, RunnerLink>
  /** The last wait message of each connection. */
  readonly lastWait: Map<ConnectionId, string>
  /** Why the first waiter is waiting. */
  waiting: { readonly reason: string; readonly message: string } | undefined
  /** NICs of the holder. */
  nics: readonly BrokerNic[]
  checking: boolean
  changed: boolean
  cancelRecheck: () => void
}

/** Carries out the decisions of lease.ts, one step at a time for each VM. */
export class Leases {
  readonly #options: LeasesOptions
  readonly #vms = new Map<VmUid, Vm>()
  readonly power: NodePower
  #closed = false

  constructor(options: LeasesOptions) {
    this.#options = options
    this.power = new NodePower(options.clock, options.log, () => this.#holders())
  }

  /** Returns what `grant` would return. */
  judge(grant: Grant): GrantVerdict {
    return judgeGrant(grant, this.#options.limits, this.#grants())
  }

  grant(grant: Grant): GrantVerdict {
    const verdict = this.judge(grant)
    if (verdict.ok) this.#change(grant.uid, (lease) => withGrant(lease, grant))
    return verdict
  }

  /** A running VM keeps its devices. */
  revoke(uid: VmUid): void {
    if (this.#vms.has(uid)) this.#change(uid, (lease) => withGrant(lease, undefined))
  }

  isGranted(uid: VmUid): boolean {
    return this.#vms.get(uid)?.lease.grant !== undefined
  }

  /** For a reclaim, `proof` has the TAPs whose descriptors the runner sent. A VM without TAPs has none. */
  enter(uid: VmUid, link: RunnerLink, proof: readonly string[], reclaims = proof.length > 0): void {
    this.#vm(uid).links.set(link.id, link)
    this.#change(uid, (lease) => join(lease, { connection: link.id, proof, reclaims }))
  }

  gone(uid: VmUid, connection: ConnectionId): void {
    const vm = this.#vms.get(uid)
    if (!vm?.links.delete(connection)) return
    vm.lastWait.delete(connection)
    if (vm.lease.holder?.connection === connection) {
      this.#options.log.info({ uid }, 'A runner released its lease')
      this.#setNics(vm, [])
    }
    this.#change(uid, (lease) => leave(lease, connection))
  }

  leasedTaps(): Set<string> {
    return new Set([...this.#vms.values()].flatMap((vm) => vm.nics.map((nic) => nic.tap)))
  }

  uids(): VmUid[] {
    return [...this.#vms.keys()]
  }

  /** Undefined if the VM has neither a grant nor a runner. */
  fact(uid: VmUid): LeaseFact | undefined {
    const vm = this.#vms.get(uid)
    return vm && this.#fact(vm)
  }

  /** Stops the checks. Leases end with their connections. */
  close(): void {
    this.#closed = true
    for (const vm of this.#vms.values()) vm.cancelRecheck()
  }

  #holders(): LeaseHolder[] {
    return [...this.#vms.values()].flatMap((vm) => (vm.lease.holder === undefined ? [] : [{ uid: vm.lease.uid, link: holderOf(vm) }]))
  }

  #grants(): Map<VmUid, Grant> {
    const grants = new Map<VmUid, Grant>()
    for (const [uid, vm] of this.#vms) if (vm.lease.grant !== undefined) grants.set(uid, vm.lease.grant)
    return grants
  }

  #vm(uid: VmUid): Vm {
    const known = this.#vms.get(uid)
    if (known !== undefined) return known
    const vm: Vm = {
      lease: freshLease(uid),
      links: new Map(),
      lastWait: new Map(),
      waiting: undefined,
      nics: [],
      checking: false,
      changed: false,
      cancelRecheck: () => undefined,
    }
    this.#vms.set(uid, vm)
    return vm
  }

  #change(uid: VmUid, next: (lease: Lease) => Lease): void {
    const vm = this.#vm(uid)
    vm.lease = next(vm.lease)
    vm.changed = true
    if (vm.lease.grant === undefined && vm.links.size === 0) this.#vms.delete(uid)
    else void this.#settle(vm)
  }

  /** Repeats the step until nothing changes during it. If only the host blocks the VM, checks it again later. Never rejects. */
  async #settle(vm: Vm): Promise<void> {
    if (vm.checking || this.#closed) return
    vm.checking = true
    vm.cancelRecheck()
    let failed = false
    try {
      do {
        vm.changed = false
        await this.#step(vm)
      } while (vm.changed && !this.#closed)
    } catch (error) {
      failed = true
      this.#options.log.error({ uid: vm.lease.uid, err: error }, 'Cannot decide about a lease')
    } finally {
      vm.checking = false
    }
    if (this.#closed || !(failed || needsHost(vm.lease))) return
    vm.cancelRecheck = this.#options.clock.after(failed ? retryMs : recheckMs, () => void this.#settle(vm))
  }

  async #step(vm: Vm): Promise<void> {
    vm.lease = seatProven(vm.lease)
    const { grant, uid } = vm.lease
    const view = needsHost(vm.lease) && grant !== undefined ? await checkHost(this.#options.host, uid, grant) : nothingInTheWay
    // The host view may be older than a change during the check. Check again before the decision.
    if (vm.changed || this.#closed) return
    const poweringOff = this.power.isFrozen() ? 'this node is powering all of its VMs off' : undefined
    await this.#carryOut(vm, decide(vm.lease, { ...view, poweringOff }))
  }

  async #carryOut(vm: Vm, decision: Decision): Promise<void> {
    vm.waiting = decision.kind === 'wait' ? decision : undefined
    switch (decision.kind) {
      case 'idle':
        return
      case 'wait':
        return this.#sendWaiting(vm, decision)
      case 'grant':
        return this.#mayGive(vm, decision) ? this.#give(vm, decision.connection, decision.grant) : undefined
      case 'confirm':
        return this.#confirm(vm, decision.connection, decision.grant, decision.proof)
      case 'refuse':
        vm.links.get(decision.connection)?.send({ type: 'refused', reason: 'ProofRefused', message: decision.message })
        vm.lease = leave(vm.lease, decision.connection)
        vm.changed = true
        return
    }
  }

  #sendWaiting(vm: Vm, { reason, message }: Extract<Decision, { kind: 'wait' }>): void {
    const key = `${reason} ${message}`
    const provisional = vm.lease.holder?.kind === 'provisional' ? [vm.lease.holder] : []
    for (const { connection } of [...provisional, ...vm.lease.waiting]) {
      if (vm.lastWait.get(connection) === key) continue
      vm.lastWait.set(connection, key)
      vm.links.get(connection)?.send({ type: 'waiting', reason, message: message.slice(0, 2000) })
    }
  }

  /** A runner that drops the token of a direct NIC would lose the lease's only proof. */
  #mayGive(vm: Vm, { connection, grant }: Extract<Decision, { kind: 'grant' }>): boolean {
    const link = vm.links.get(connection)
    if (link?.keepsTokens === true || grant.nics.every(({ direct }) => direct === undefined)) return true
    const message = 'the runner is of an earlier release, which has no direct NICs; update the image of the VM service'
    link?.send({ type: 'refused', reason: 'RunnerOutdated', message })
    vm.lease = leave(vm.lease, connection)
    vm.changed = true
    return false
  }

  async #give(vm: Vm, connection: ConnectionId, grant: Grant): Promise<void> {
    const { closeFds, log, tapLocks } = this.#options
    const opened = this.#open(vm, grant)
    if (opened === undefined) return
    // The filter rules must exist before the guest sends frames.
    await tapLocks.lock(opened.nics.map(lockOf))
    const link = vm.links.get(connection)
    // A change meanwhile needs a new decision with its own TAPs. A power-off-all may also have started, and it only informed the holders.
    if (this.power.isFrozen()) vm.changed = true
    if (vm.changed || this.#closed || link === undefined) return closeFds(opened.fds)
    vm.lease = hold(vm.lease, connection)
    // Start to listen before the guest can send a frame.
    this.#nowHolds(vm, connection, opened.nics)
    link.send(
      { type: 'granted', accelerator: grant.accelerator, kvm: opened.kvm, nics: opened.nics.map(grantedNicOf), reclaimed: false },
      opened.fds,
    )
    // Close the descriptors even if the message was not sent: a TAP goes away with its last descriptor.
    void link.flushed().then(
      () => closeFds(opened.fds),
      () => closeFds(opened.fds),
    )
    log.info({ uid: vm.lease.uid, vm: grant.vm, taps: opened.nics.map((nic) => nic.tap), kvm: opened.kvm }, 'Granted a lease')
  }

  /** If a device cannot be opened, the VM waits with the reason. */
  #open(vm: Vm, grant: Grant): OpenedDevices | undefined {
    const { host, closeFds } = this.#options
    try {
      return openDevices(vm.lease.uid, grant, host.network, host.devices, closeFds)
    } catch (error) {
      if (!(error instanceof HostError)) throw error
      const reason = error.kind === 'Io' ? 'DeviceMissing' : error.kind
      const wait = { kind: 'wait', reason, message: error.message } as const
      vm.waiting = wait
      this.#sendWaiting(vm, wait)
      return undefined
    }
  }

  #confirm(vm: Vm, connection: ConnectionId, grant: Grant, proof: readonly string[]): void {
    const { network } = this.#options.host
    const { uid } = vm.lease
    const parentMtu = (nic: NicGrant): number | undefined =>
      nic.direct === undefined ? network.bridge(parentOf(nic))?.mtu : network.device(parentOf(nic))?.mtu
    const nics = nicsEver(grant)
      .map((nic) => brokerNicOf(uid, nic, parentMtu(nic) ?? nic.mtu ?? 1500))
      .filter((nic) => proof.includes(nic.tap))
      .map((nic) => this.#asLocked(nic))
    // Set after all calls that may throw. Otherwise a confirmed holder could miss its answer and wait forever.
    vm.lease = hold(vm.lease, connection, proof)
    vm.links.get(connection)?.send({
      type: 'granted',
      accelerator: grant.accelerator,
      kvm: grant.accelerator === 'kvm',
      nics: nics.map(grantedNicOf),
      reclaimed: true,
    })
    this.#nowHolds(vm, connection, nics)
    this.#lockAgain(nics)
    this.#options.log.info({ uid, vm: grant.vm, taps: proof }, 'The holder of a lease reconnected')
  }

  /** The rules of the running NIC tell its MAC, also if the grant has another one by now. */
  #asLocked(nic: BrokerNic): BrokerNic {
    const lock = this.#options.tapLocks.lockOf(linkOf(nic))
    return lock === undefined ? nic : { ...nic, mac: lock.mac, antiSpoof: lock.antiSpoof }
  }

  /** The grant may have changed since the TAP was created. A guest that runs with the previous MAC must keep its connection. */
  #lockAgain(nics: readonly BrokerNic[]): void {
    const { host, tapLocks } = this.#options
    const isOfGrant = (nic: BrokerNic): boolean => {
      const [link, own] = [linkOf(nic), nic.direct === undefined ? hostSideMac(nic.mac) : nic.mac]
      return tapLocks.lockOf(link)?.mac === nic.mac || host.network.mac(link) === own
    }
    void tapLocks.lock(nics.filter(isOfGrant).map(lockOf))
    for (const nic of nics.filter((one) => !isOfGrant(one)))
      tapLocks.refuse(linkOf(nic), `${linkOf(nic)} was created for a different MAC; the VM gets ${nic.mac} with its next start`)
  }

  #nowHolds(vm: Vm, connection: ConnectionId, nics: readonly BrokerNic[]): void {
    vm.lastWait.delete(connection)
    vm.waiting = undefined
    vm.changed = true
    this.#setNics(vm, nics)
  }

  #setNics(vm: Vm, nics: readonly BrokerNic[]): void {
    vm.nics = nics
    this.#options.onTaps(vm.lease.uid, nics)
  }

  #fact(vm: Vm): LeaseFact {
    const { grant, uid, holder, waiting } = vm.lease
    const granted = grant?.nics.map((nic) => brokerNicOf(uid, nic, nic.mtu ?? 1500)) ?? []
    const nics = holder === undefined ? granted : vm.nics
    const container = holderOf(vm)?.container
    return {
      uid,
      granted: grant !== undefined,
      held: holder !== undefined,
      ...(container === undefined ? {} : { container }),
      waiting: waiting.length,
      waitReason: vm.waiting?.reason ?? null,
      waitMessage: vm.waiting?.message.slice(0, 2000) ?? null,
      ...(holder === undefined ? {} : { guestFilter: this.#filterFact(nics) }),
      nics: nics.map((nic) => ({ ...this.#nicFact(nic), ...this.#problemOf(nic, holder !== undefined) })),
    }
  }

  #nicFact({ name, tap, bridge, mac, direct }: BrokerNic): LeaseFact['nics'][number] {
    const { network } = this.#options.host
    const common = { name, tap, bridge, mac }
    if (direct === undefined) return { ...common, carrier: network.carrier(tap), attached: network.exists(tap) }
    // QEMU has the macvtap open as long as it has the token. The link itself can be deleted under it.
    return { ...common, direct, carrier: network.exists(tap), attached: network.exists(direct.link) }
  }

  #problemOf(nic: BrokerNic, isHeld: boolean): Pick<LeaseFact['nics'][number], 'problem'> {
    const { forward, host } = this.#options
    const dropped = nic.direct === undefined ? forward.problem(nic.bridge) : undefined
    const problem = isHeld ? (dropped ?? linkProblem(host.network, nic)) : undefined
    return problem === undefined ? {} : { problem }
  }

  #filterFact(nics: readonly BrokerNic[]): GuestFilterFact {
    const unlocked = nics.filter((nic) => nic.antiSpoof === 'off').map(({ name }) => name)
    const fact = this.#options.tapLocks.fact(nics.map(linkOf))
    return unlocked.length === 0 ? fact : { ...fact, unlocked }
  }
}

function holderOf({ lease, links }: Vm): RunnerLink | undefined {
  return lease.holder === undefined ? undefined : links.get(lease.holder.connection)
}

function lockOf(nic: BrokerNic): TapLock {
  const { mac, antiSpoof, direct } = nic
  return { tap: linkOf(nic), mac, antiSpoof, ...(direct === undefined ? {} : { hook: 'egress' }) }
}

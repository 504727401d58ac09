import type { VmUid } from '../api/names.ts'
import type { LeaseFact } from '../api/wire/broker-admin.ts'
import type { BrokerToRunner } from '../api/wire/broker-runner.ts'
import type { Grant } from '../api/wire/common.ts'
import { type Clock, sleep } from '../ports/clock.ts'
import { HostError } from '../ports/host-network.ts'
import type { Log } from '../ports/log.ts'
import { type GrantVerdict, judgeGrant, type Limits } from './grants.ts'
import { type Host, lookAtHost, nothingInTheWay } from './host-view.ts'
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
import { type GrantedNic, grantedNicOf, hostSideMac, openDevices, type OpenedDevices } from './nics.ts'
import type { TapLocks } from './tap-locks.ts'

/** Locks and TAPs tell nobody when they come free. */
const lookAgainMs = 150
/** After a fault of the host's, such as no descriptor being left. */
const tryAgainMs = 1_000
/** After a power-off of all, until the host is down or it is clear that it stays. */
const frozenAfterPowerOffMs = 60_000
const powerOffCheckMs = 100

/** A runner that said hello. */
export interface RunnerLink {
  readonly id: ConnectionId
  /** Where it said which container it runs in. */
  readonly container?: string
  send(message: BrokerToRunner, fds?: readonly number[]): void
  flushed(): Promise<void>
}

export interface LeasesOptions {
  readonly host: Host
  readonly limits: Limits
  readonly tapLocks: Pick<TapLocks, 'lock' | 'macOf' | 'refuse' | 'fact'>
  readonly clock: Clock
  readonly log: Log
  readonly closeFds: (fds: readonly number[]) => void
  /** A lease came to have these TAPs, or none any more. */
  readonly onTaps: (uid: VmUid, nics: readonly GrantedNic[]) => void
}

interface Vm {
  lease: Lease
  readonly links: Map<ConnectionId, RunnerLink>
  /** What each waiting connection was told last. */
  readonly told: Map<ConnectionId, string>
  /** Why the first waiter waits. */
  waiting: { readonly reason: string; readonly message: string } | undefined
  /** Of the holder. */
  nics: readonly GrantedNic[]
  looking: boolean
  changed: boolean
  cancelLook: () => void
}

/** Carries out what lease.ts decides, one VM at a time and one step of each at a time. */
export class Leases {
  readonly #options: LeasesOptions
  readonly #vms = new Map<VmUid, Vm>()
  #frozenUntilMs = Number.NEGATIVE_INFINITY
  /** Counts power-offs and power-ons of all: the last one holds. */
  #order = 0
  #closed = false

  constructor(options: LeasesOptions) {
    this.#options = options
  }

  /** As `grant` would answer. */
  judge(grant: Grant): GrantVerdict {
    return judgeGrant(grant, this.#options.limits, this.#grants())
  }

  grant(grant: Grant): GrantVerdict {
    const verdict = this.judge(grant)
    if (verdict.ok) this.#change(grant.uid, (lease) => withGrant(lease, grant))
    return verdict
  }

  /** What runs keeps what it has. */
  revoke(uid: VmUid): void {
    if (this.#vms.has(uid)) this.#change(uid, (lease) => withGrant(lease, undefined))
  }

  isGranted(uid: VmUid): boolean {
    return this.#vms.get(uid)?.lease.grant !== undefined
  }

  /** `proof` are the TAPs that it showed, for a reclaim. */
  enter(uid: VmUid, link: RunnerLink, proof: readonly string[]): void {
    this.#vm(uid).links.set(link.id, link)
    this.#change(uid, (lease) => join(lease, { connection: link.id, proof }))
  }

  gone(uid: VmUid, connection: ConnectionId): void {
    const vm = this.#vms.get(uid)
    if (!vm?.links.delete(connection)) return
    vm.told.delete(connection)
    if (vm.lease.holder?.connection === connection) {
      this.#options.log.info({ uid }, 'A runner gave up its lease')
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

  /** Undefined where nothing is known of this VM: neither a grant nor a runner. */
  fact(uid: VmUid): LeaseFact | undefined {
    const vm = this.#vms.get(uid)
    return vm && this.#fact(vm)
  }

  /** Tells every holder to power its guest off, and lets nobody start meanwhile. Resolves with those who still hold at the deadline. */
  async powerOffAll(timeoutMs: number): Promise<VmUid[]> {
    const { clock, log } = this.#options
    const order = ++this.#order
    const deadline = clock.elapsed() + timeoutMs
    this.#frozenUntilMs = Math.max(this.#frozenUntilMs, deadline + frozenAfterPowerOffMs)
    log.info({ held: this.#held().length, timeoutMs }, 'Powering off every VM of this node')
    const told = new Set<ConnectionId>()
    this.#tellPowerOff(told)
    while (order === this.#order && this.#held().length > 0 && clock.elapsed() < deadline) {
      await sleep(clock, Math.min(powerOffCheckMs, deadline - clock.elapsed()))
      this.#tellPowerOff(told)
    }
    if (order === this.#order) this.#frozenUntilMs = clock.elapsed() + frozenAfterPowerOffMs
    return this.#held()
  }

  /** The node stays up after all: VMs that wait are looked at within `lookAgainMs`. */
  powerOnAll(): void {
    this.#order += 1
    this.#frozenUntilMs = Number.NEGATIVE_INFINITY
    this.#options.log.info({}, 'VMs may start again')
  }

  /** Stops looking; leases end with their connections. */
  close(): void {
    this.#closed = true
    for (const vm of this.#vms.values()) vm.cancelLook()
  }

  #isFrozen(): boolean {
    return this.#options.clock.elapsed() < this.#frozenUntilMs
  }

  #held(): VmUid[] {
    return [...this.#vms.values()].filter((vm) => vm.lease.holder !== undefined).map((vm) => vm.lease.uid)
  }

  /** Also those that came back to their lease only after the order. */
  #tellPowerOff(told: Set<ConnectionId>): void {
    for (const link of this.#held().flatMap((uid) => this.#holder(uid) ?? [])) {
      if (told.has(link.id)) continue
      told.add(link.id)
      link.send({ type: 'powerOff', message: 'the node is going down' })
    }
  }

  #holder(uid: VmUid): RunnerLink | undefined {
    const vm = this.#vms.get(uid)
    return vm?.links.get(vm.lease.holder?.connection ?? Number.NaN)
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
      told: new Map(),
      waiting: undefined,
      nics: [],
      looking: false,
      changed: false,
      cancelLook: () => undefined,
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

  /** Goes on until nothing changed while it looked, then looks again later if only the host stands in the way. Never rejects. */
  async #settle(vm: Vm): Promise<void> {
    if (vm.looking || this.#closed) return
    vm.looking = true
    vm.cancelLook()
    let failed = false
    try {
      do {
        vm.changed = false
        await this.#step(vm)
      } while (vm.changed && !this.#closed)
    } catch (error) {
      failed = true
      this.#options.log.error({ uid: vm.lease.uid, err: error }, 'Could not decide about a lease')
    } finally {
      vm.looking = false
    }
    if (this.#closed || !(failed || needsHost(vm.lease))) return
    vm.cancelLook = this.#options.clock.after(failed ? tryAgainMs : lookAgainMs, () => void this.#settle(vm))
  }

  async #step(vm: Vm): Promise<void> {
    vm.lease = seatProven(vm.lease)
    const { grant, uid } = vm.lease
    const view = needsHost(vm.lease) && grant !== undefined ? await lookAtHost(this.#options.host, uid, grant) : nothingInTheWay
    // What was seen may be older than what changed meanwhile: look again before anything is decided.
    if (vm.changed || this.#closed) return
    const poweringOff = this.#isFrozen() ? 'this node is powering all of its VMs off' : undefined
    await this.#carryOut(vm, decide(vm.lease, { ...view, poweringOff }))
  }

  async #carryOut(vm: Vm, decision: Decision): Promise<void> {
    vm.waiting = decision.kind === 'wait' ? decision : undefined
    switch (decision.kind) {
      case 'idle':
        return
      case 'wait':
        return this.#tellWaiting(vm, decision)
      case 'grant':
        return this.#give(vm, decision.connection, decision.grant)
      case 'confirm':
        return this.#confirm(vm, decision.connection, decision.grant, decision.proof)
      case 'refuse':
        vm.links.get(decision.connection)?.send({ type: 'refused', reason: 'ProofRefused', message: decision.message })
        vm.lease = leave(vm.lease, decision.connection)
        vm.changed = true
        return
    }
  }

  #tellWaiting(vm: Vm, { reason, message }: Extract<Decision, { kind: 'wait' }>): void {
    const key = `${reason} ${message}`
    const provisional = vm.lease.holder?.kind === 'provisional' ? [vm.lease.holder] : []
    for (const { connection } of [...provisional, ...vm.lease.waiting]) {
      if (vm.told.get(connection) === key) continue
      vm.told.set(connection, key)
      vm.links.get(connection)?.send({ type: 'waiting', reason, message: message.slice(0, 2000) })
    }
  }

  async #give(vm: Vm, connection: ConnectionId, grant: Grant): Promise<void> {
    const { closeFds, log, tapLocks } = this.#options
    const opened = this.#open(vm, grant)
    if (opened === undefined) return
    // The rules come before the guest does.
    await tapLocks.lock(opened.nics)
    const link = vm.links.get(connection)
    // What changed meanwhile decides again, with TAPs of its own. A power-off of all may have begun, and told those who held.
    if (this.#isFrozen()) vm.changed = true
    if (vm.changed || this.#closed || link === undefined) return closeFds(opened.fds)
    vm.lease = hold(vm.lease, connection)
    // Ears open before a guest can say anything.
    this.#nowHolds(vm, connection, opened.nics)
    link.send({ type: 'granted', accelerator: grant.accelerator, kvm: opened.kvm, nics: [...opened.nics], reclaimed: false }, opened.fds)
    // What could not be handed over is closed all the same: the TAPs go with their last descriptor.
    void link.flushed().then(
      () => closeFds(opened.fds),
      () => closeFds(opened.fds),
    )
    log.info({ uid: vm.lease.uid, vm: grant.vm, taps: opened.nics.map((nic) => nic.tap), kvm: opened.kvm }, 'Granted a lease')
  }

  /** Where a device does not open, the VM waits with the reason. */
  #open(vm: Vm, grant: Grant): OpenedDevices | undefined {
    const { host, closeFds } = this.#options
    try {
      return openDevices(vm.lease.uid, grant, host.network, host.devices, closeFds)
    } catch (error) {
      if (!(error instanceof HostError)) throw error
      const reason = error.kind === 'Io' ? 'DeviceMissing' : error.kind
      const wait = { kind: 'wait', reason, message: error.message } as const
      vm.waiting = wait
      this.#tellWaiting(vm, wait)
      return undefined
    }
  }

  #confirm(vm: Vm, connection: ConnectionId, grant: Grant, proof: readonly string[]): void {
    const { network } = this.#options.host
    const { uid } = vm.lease
    const nics = nicsEver(grant)
      .map((nic) => grantedNicOf(uid, nic, network.bridge(nic.bridge)?.mtu ?? nic.mtu ?? 1500))
      .filter((nic) => proof.includes(nic.tap))
      .map((nic) => ({ ...nic, mac: this.#options.tapLocks.macOf(nic.tap) ?? nic.mac }))
    // After what may throw: a holder that was confirmed and not told would wait for ever.
    vm.lease = hold(vm.lease, connection, proof)
    vm.links
      .get(connection)
      ?.send({ type: 'granted', accelerator: grant.accelerator, kvm: grant.accelerator === 'kvm', nics, reclaimed: true })
    this.#nowHolds(vm, connection, nics)
    this.#lockAgain(nics)
    this.#options.log.info({ uid, vm: grant.vm, taps: proof }, 'The holder of a lease came back')
  }

  /** A grant may have changed since the TAP was made: a guest that runs with the MAC of before must not be cut off. */
  #lockAgain(nics: readonly GrantedNic[]): void {
    const { host, tapLocks } = this.#options
    const isOfGrant = ({ tap, mac }: GrantedNic): boolean => tapLocks.macOf(tap) === mac || host.network.mac(tap) === hostSideMac(mac)
    void tapLocks.lock(nics.filter(isOfGrant))
    for (const { tap, mac } of nics.filter((nic) => !isOfGrant(nic)))
      tapLocks.refuse(tap, `${tap} was made for another MAC than ${mac}, which the VM gets with its next start`)
  }

  #nowHolds(vm: Vm, connection: ConnectionId, nics: readonly GrantedNic[]): void {
    vm.told.delete(connection)
    vm.waiting = undefined
    vm.changed = true
    this.#setNics(vm, nics)
  }

  #setNics(vm: Vm, nics: readonly GrantedNic[]): void {
    vm.nics = nics
    this.#options.onTaps(vm.lease.uid, nics)
  }

  #fact(vm: Vm): LeaseFact {
    const { network } = this.#options.host
    const { grant, uid, holder, waiting } = vm.lease
    const granted = grant?.nics.map((nic) => grantedNicOf(uid, nic, nic.mtu ?? 1500)) ?? []
    const nics = holder === undefined ? granted : vm.nics
    const container = this.#holder(uid)?.container
    return {
      uid,
      granted: grant !== undefined,
      held: holder !== undefined,
      ...(container === undefined ? {} : { container }),
      waiting: waiting.length,
      waitReason: vm.waiting?.reason ?? null,
      waitMessage: vm.waiting?.message.slice(0, 2000) ?? null,
      ...(holder === undefined ? {} : { guestFilter: this.#options.tapLocks.fact(nics.map((nic) => nic.tap)) }),
      nics: nics.map(({ name, tap, bridge, mac }) => ({
        name,
        tap,
        bridge,
        mac,
        carrier: network.carrier(tap),
        attached: network.exists(tap),
      })),
    }
  }
}

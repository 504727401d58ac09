import type * as z from 'zod/mini'
import type { brokerToRunner, grantedNic, WaitReason } from '../src/api/wire/broker-runner.ts'
import { attachmentText } from '../src/api/nic-attachment.ts'
import type { AcceleratorInUse } from '../src/api/wire/common.ts'
import type { LaunchConfig } from '../src/api/wire/launch.ts'
import type { Clock } from '../src/ports/clock.ts'
import { sleep } from '../src/api/time.ts'
import type { FdSockets } from '../src/ports/fd-socket.ts'
import type { Log } from '../src/ports/log.ts'
import { type BrokerMessage, type BrokerSession, brokerSession } from './broker-session.ts'
import type { WaitState } from './state-machine.ts'

export type GrantedNic = z.output<typeof grantedNic>
type Granted = Extract<z.output<typeof brokerToRunner>, { type: 'granted' }>

export interface LeaseDeps {
  readonly sockets: Pick<FdSockets, 'connect'>
  readonly socketPath: string
  readonly launch: Pick<LaunchConfig, 'uid' | 'accelerator' | 'nics'>
  /** Container ID of the runner, if known. */
  readonly container?: string | undefined
  readonly closeFd: (fd: number) => void
  readonly clock: Clock
  readonly log: Log
  readonly onWaiting: (state: WaitState, message: string) => void
  /** The broker requests a graceful shutdown of the guest. */
  readonly onPowerOff: (message: string) => void
}

/** The right to run this VM. It lasts as long as the connection, or until TAP descriptors prove it on a new connection. */
export interface Lease {
  readonly accelerator: AcceleratorInUse
  /** Open only until `keep`. */
  readonly kvmFd: number | undefined
  /** In launch config order. `tokenFd` stands for the holder of a NIC that the kernel cannot prove (ADR 0035); QEMU keeps it open. */
  readonly nics: readonly { readonly nic: GrantedNic; readonly fd: number; readonly tokenFd: number | undefined }[]
  /** False after the connection has ended. Before QEMU starts, that also ends the lease. */
  readonly alive: boolean
  /** Call this once QEMU has the descriptors. Lost connections are then reopened with `reclaim` until `release`, without an effect on the guest. */
  keep(): void
  /** Closes the connection and every descriptor. Idempotent. */
  release(): void
}

const firstRetryMs = 100
const longestRetryMs = 1_000

/** Waits for the broker, a grant and the end of a previous runner, without a time limit. Rejects only with the signal's reason. */
export async function acquireLease(deps: LeaseDeps, signal: AbortSignal): Promise<Lease> {
  for (let retryMs = firstRetryMs; ; retryMs = Math.min(longestRetryMs, retryMs * 2)) {
    try {
      return await acquireOnce(deps, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof GrantError) deps.onWaiting('WaitingForGrant', error.message)
      else deps.onWaiting('WaitingForBroker', `The broker cannot be reached at ${deps.socketPath}: ${(error as Error).message}`)
    }
    await sleep(deps.clock, retryMs, signal)
  }
}

/** The broker's grant is missing, outdated or does not match the launch config. */
class GrantError extends Error {}

async function acquireOnce(deps: LeaseDeps, signal: AbortSignal): Promise<Lease> {
  const session = await openSession(deps)
  const close = (): void => session.close()
  signal.addEventListener('abort', close, { once: true })
  try {
    signal.throwIfAborted()
    await session.send({ type: 'acquire', tokens: true })
    return leaseOf(await granted(session, deps), session, deps)
  } catch (error) {
    session.close()
    throw error
  } finally {
    // From here on the connection is the lease. A stop request must not close it while the guest shuts down.
    signal.removeEventListener('abort', close)
  }
}

async function openSession(deps: LeaseDeps): Promise<BrokerSession> {
  return brokerSession(await deps.sockets.connect(deps.socketPath), { uid: deps.launch.uid, container: deps.container }, deps.closeFd)
}

/** Reads messages until the broker grants the lease, and reports what it waits for. */
async function granted(session: BrokerSession, deps: LeaseDeps): Promise<BrokerMessage & { message: Granted }> {
  for (;;) {
    const { message, fds } = await session.next()
    switch (message.type) {
      case 'welcome':
        deps.log.debug({ bootId: message.bootId, version: message.version }, 'Connected to the broker')
        break
      case 'waiting':
        deps.onWaiting(waitState(message.reason), message.message)
        break
      case 'powerOff':
        deps.onPowerOff(message.message)
        break
      case 'refused':
        throw new GrantError(`The broker refuses (${message.reason}): ${message.message}`)
      case 'granted':
        return { message, fds }
    }
  }
}

function waitState(reason: WaitReason): WaitState {
  switch (reason) {
    case 'WaitingForPrevious':
    case 'ImageLocked':
    case 'TapBusy':
      return 'WaitingForPrevious'
    case 'NoGrant':
    case 'BridgeMissing':
    case 'BridgeMtuTooSmall':
    case 'VlanUnavailable':
    case 'DeviceMissing':
    case 'UserNetworkUnfiltered':
    case 'DeviceBusy':
    case 'DeviceMtuTooSmall':
      return 'WaitingForGrant'
  }
}

function leaseOf(given: BrokerMessage & { message: Granted }, session: BrokerSession, deps: LeaseDeps): Lease {
  try {
    mustFit(given.message, deps.launch)
  } catch (error) {
    for (const fd of given.fds) deps.closeFd(fd)
    throw error
  }
  return new HeldLease(given, session, deps)
}

function mustFit(given: Granted, launch: LeaseDeps['launch']): void {
  if (given.reclaimed) throw new GrantError('The broker reports that this VM already runs here')
  if (given.kvm !== (given.accelerator === 'kvm')) throw new GrantError('The KVM device from the broker does not match its grant')
  if (launch.accelerator !== 'auto' && launch.accelerator !== given.accelerator) {
    throw new GrantError(`The VM needs accelerator ${launch.accelerator}, but the grant on this node has ${given.accelerator}`)
  }
  const asked = tapNics(launch)
    .map((nic) => `${nic.name} ${nic.mac}`)
    .sort()
  const got = given.nics.map((nic) => `${nic.name} ${nic.mac}`).sort()
  if (asked.join() !== got.join())
    throw new GrantError(`The VM needs networks [${asked.join()}], but the grant on this node has [${got.join()}]`)
  for (const nic of tapNics(launch)) mustBeAttached(nic, given)
}

/** After an edit of a VM that is off, the grant may still have the previous bridge or settings. The launch config of release 0.1 has no bridge. */
function mustBeAttached({ name, bridge, direct, ...settings }: LaunchConfig['nics'][number], { nics }: Granted): void {
  const parent = direct?.device ?? bridge
  const nic = nics.find((one) => one.name === name)
  if (parent === undefined || nic === undefined) return
  const asked = attachmentText(parent, direct === undefined ? settings : { mode: direct.mode })
  const got = attachmentText(nic.bridge, nic.settings ?? {})
  if (asked !== got) throw new GrantError(`The VM needs network ${name} ${asked}, but the grant on this node has it ${got}`)
}

/** NICs behind NAT need nothing from the broker. */
function tapNics({ nics }: Pick<LaunchConfig, 'nics'>): LaunchConfig['nics'] {
  return nics.filter(({ user }) => user === undefined)
}

class HeldLease implements Lease {
  readonly accelerator: AcceleratorInUse
  readonly nics: Lease['nics']
  readonly #deps: LeaseDeps
  readonly #released = new AbortController()
  #session: BrokerSession
  #kvmFd: number | undefined

  constructor(given: BrokerMessage & { message: Granted }, session: BrokerSession, deps: LeaseDeps) {
    const { message, fds } = given
    const passed = fds.slice(Number(message.kvm))
    const taps = message.nics.map((nic) => ({
      nic,
      fd: passed.shift() ?? -1,
      tokenFd: nic.token === true ? (passed.shift() ?? -1) : undefined,
    }))
    this.accelerator = message.accelerator
    this.nics = deps.launch.nics.flatMap((asked) => taps.filter(({ nic }) => nic.name === asked.name))
    this.#kvmFd = message.kvm ? fds[0] : undefined
    this.#session = session
    this.#deps = deps
  }

  get kvmFd(): number | undefined {
    return this.#kvmFd
  }

  get alive(): boolean {
    return this.#session.open && !this.#released.signal.aborted
  }

  keep(): void {
    this.#closeKvm()
    void this.#keep(this.#released.signal)
  }

  release(): void {
    if (this.#released.signal.aborted) return
    this.#released.abort(new Error('the lease was released'))
    this.#session.close()
    this.#closeKvm()
    for (const fd of this.nics.flatMap(({ fd, tokenFd = [] }) => [fd, tokenFd].flat())) this.#deps.closeFd(fd)
  }

  #closeKvm(): void {
    if (this.#kvmFd !== undefined) this.#deps.closeFd(this.#kvmFd)
    this.#kvmFd = undefined
  }

  /** Reads from the connection, and reclaims the lease with the TAP descriptors when it is lost, until `release`. Never rejects. */
  async #keep(released: AbortSignal): Promise<void> {
    const say = changes((why) => this.#deps.log.warn({ why }, 'Lost the connection to the broker; the guest keeps running'))
    const deps = { ...this.#deps, onWaiting: (_state: WaitState, message: string) => say(message) }
    let retryMs = firstRetryMs
    while (!released.aborted) {
      try {
        if (!this.#session.open) await this.#reclaim(deps, released)
        retryMs = firstRetryMs
        say('')
        await follow(this.#session, deps)
      } catch (error) {
        this.#session.close()
        if (!released.aborted) say((error as Error).message)
      }
      await sleep(deps.clock, retryMs, released).catch(() => undefined)
      retryMs = Math.min(longestRetryMs, retryMs * 2)
    }
  }

  async #reclaim(deps: LeaseDeps, released: AbortSignal): Promise<void> {
    const session = await openSession(deps)
    this.#session = session
    // Released while connecting: the descriptors are closed and must not be sent.
    if (released.aborted) return session.close()
    await session.send(
      { type: 'reclaim', taps: this.nics.map(({ nic }) => nic.tap) },
      this.nics.map(({ fd, tokenFd }) => tokenFd ?? fd),
    )
    const { message, fds } = await granted(session, deps)
    for (const fd of fds) deps.closeFd(fd)
    if (!message.reclaimed) throw new GrantError('The broker granted a new lease instead of the current one')
    deps.log.info({}, 'Reclaimed the lease')
  }
}

/** Rejects when the connection ends. */
async function follow(session: BrokerSession, deps: LeaseDeps): Promise<never> {
  for (;;) {
    const { message, fds } = await session.next()
    for (const fd of fds) deps.closeFd(fd)
    if (message.type === 'powerOff') deps.onPowerOff(message.message)
    else deps.log.debug({ type: message.type }, 'Ignored a message of the broker')
  }
}

/** Calls `call` when the text has changed. An empty text only resets the last value. */
function changes(call: (text: string) => void): (text: string) => void {
  let last = ''
  return (text) => {
    if (text === last) return
    last = text
    if (text !== '') call(text)
  }
}

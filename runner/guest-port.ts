import { sleep } from '../src/api/time.ts'
import type { GuestPortState } from '../src/api/wire/runner-control.ts'
import type { Clock } from '../src/ports/clock.ts'
import type { PortRelay } from '../src/ports/port-relay.ts'
import type { GuestForward } from './devices/user-nics.ts'

const pollMs = 50

export interface GuestPortDeps {
  readonly portRelay: Pick<PortRelay, 'connect'>
  /** QEMU's table of connections through its NAT. Throws QmpError. */
  readonly connections: () => Promise<string>
  readonly clock: Clock
}

/**
 * Whether the guest accepts a connection. QEMU accepts the connection of its client at once and asks the guest afterwards, so only its own
 * table tells. It closes the connection if the guest refuses.
 */
export async function guestPortState(deps: GuestPortDeps, { toPort }: GuestForward, timeoutMs: number): Promise<GuestPortState> {
  const { clock, portRelay, connections } = deps
  const before = new Set(connectionsTo(await connections(), toPort).map(({ fd }) => fd))
  const connection = await portRelay.connect(toPort)
  const deadlineMs = clock.now() + timeoutMs
  try {
    for (;;) {
      // One of another client proves the same.
      const fresh = connectionsTo(await connections(), toPort).filter(({ fd }) => !before.has(fd))
      if (fresh.some(({ state }) => state === 'ESTABLISHED')) return 'accepts'
      if (connection.ended) return 'refuses'
      if (clock.now() >= deadlineMs) return 'silent'
      await sleep(clock, pollMs)
    }
  } finally {
    connection.close()
  }
}

/**
 * Reads lines such as `TCP[ESTABLISHED] 16 127.0.0.1 20000 10.0.2.15 22 0 0`: the state, QEMU's descriptor, its own end, and the guest's
 * (libslirp, `slirp_connection_info`).
 */
export function connectionsTo(table: string, toPort: number): { readonly fd: string; readonly state: string }[] {
  return table.split('\n').flatMap((line) => {
    const [, state = '', fd = '', port] = /^\s*TCP\[([A-Z0-9_]+)\]\s+(\d+)\s+\S+\s+(\d+)\s/.exec(line) ?? []
    return port === String(toPort) && state !== 'HOST_FORWARD' ? [{ fd, state }] : []
  })
}

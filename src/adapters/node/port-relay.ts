import { connect } from 'node:net'
import type { Forward, OpenRelay, PortRelay } from '../../ports/port-relay.ts'
import { type Pairs, tcpRelay } from './tcp-relay.ts'
import { udpRelay } from './udp-relay.ts'

/** Relays in this process. */
export const portRelay: PortRelay = {
  connect: (toPort) =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: toPort })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        let ended = false
        // A reset is an end too.
        for (const event of ['end', 'close', 'error']) socket.on(event, () => (ended = true))
        socket.resume()
        resolve({
          get ended() {
            return ended
          },
          close: () => void socket.destroy(),
        })
      })
    }),
  async open(forwards) {
    const pairs: Pairs = new Set()
    const opened = await Promise.all(forwards.map((forward) => openOne(forward, pairs)))
    const problems = opened.flatMap((one) => ('problem' in one ? one.problem : []))
    return {
      problem: problems.join('; '),
      close: () => {
        for (const one of opened) if ('close' in one) one.close()
      },
    }
  },
}

type Opened = Pick<OpenRelay, 'close'> | { readonly problem: string }

async function openOne(forward: Forward, pairs: Pairs): Promise<Opened> {
  try {
    return await (forward.protocol === 'tcp' ? tcpRelay(forward, pairs) : udpRelay(forward))
  } catch (error) {
    return { problem: `port ${forward.port}/${forward.protocol} cannot be opened: ${(error as Error).message}` }
  }
}

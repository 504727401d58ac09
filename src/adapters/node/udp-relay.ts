import { createSocket, type Socket } from 'node:dgram'
import type { Forward } from '../../ports/port-relay.ts'

/** For each port. */
const maxFlows = 64
/** As long as most NATs keep a flow that got an answer. */
const idleMs = 60_000
const sweepMs = 10_000

interface Flow {
  readonly socket: Socket
  lastMs: number
}

/** Relays datagrams: each client has a socket of its own, to which the guest's answers return. Rejects if the port cannot be opened. */
export function udpRelay({ port, toPort }: Forward): Promise<{ close(): void }> {
  const flows = new Map<string, Flow>()
  const server = createSocket('udp4')
  const sweep = setInterval(() => endIdle(flows, performance.now() - idleMs), sweepMs)
  sweep.unref()
  server.on('message', (message, { address, port: from }) => {
    const key = `${address} ${from}`
    const flow = flows.get(key) ?? open(flows, key, (answer) => server.send(answer, from, address, () => undefined))
    flow.lastMs = performance.now()
    // A datagram that cannot be sent is lost, as on any network.
    flow.socket.send(message, toPort, '127.0.0.1', () => undefined)
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.bind({ port, address: '0.0.0.0' }, () => {
      server.off('error', reject)
      server.on('error', () => undefined)
      resolve({
        close() {
          clearInterval(sweep)
          endIdle(flows, Number.POSITIVE_INFINITY)
          server.close()
        },
      })
    })
  })
}

/** The flow that has been idle longest gives its place to a new one: clients of UDP do not say when they are done. */
function open(flows: Map<string, Flow>, key: string, answer: (message: Buffer) => void): Flow {
  if (flows.size >= maxFlows) {
    const [oldest] = [...flows].toSorted(([, a], [, b]) => a.lastMs - b.lastMs)
    if (oldest !== undefined) end(flows, oldest[0])
  }
  const socket = createSocket('udp4')
  const flow: Flow = { socket, lastMs: performance.now() }
  socket.on('error', () => end(flows, key))
  socket.on('message', (message) => {
    flow.lastMs = performance.now()
    answer(message)
  })
  flows.set(key, flow)
  return flow
}

function endIdle(flows: Map<string, Flow>, beforeMs: number): void {
  for (const [key, { lastMs }] of flows) if (lastMs < beforeMs) end(flows, key)
}

function end(flows: Map<string, Flow>, key: string): void {
  const flow = flows.get(key)
  if (!flows.delete(key)) return
  flow?.socket.removeAllListeners('error').on('error', () => undefined)
  flow?.socket.close()
}

import { type BrokerRequest, type BrokerResponse, brokerResponse } from '../api/wire/broker-admin.ts'
import { encodeFrame, frameDecoder } from '../api/wire/frames.ts'
import type { Clock } from '../ports/clock.ts'
import { sleep } from '../api/time.ts'
import type { FdConnection, FdSockets } from '../ports/fd-socket.ts'

/** The broker answers at its own deadline. After this extra time it counts as gone. */
const graceMs = 10_000

/**
 * Asks the broker to power off every VM. Resolves with the UIDs that are still running. Rejects with PortError if no broker listens, and with Error
 * if it is not responding.
 */
export async function askPowerOffAll(sockets: FdSockets, clock: Clock, path: string, timeoutMs: number): Promise<readonly string[]> {
  const response = await askBroker(sockets, clock, path, { type: 'powerOffAll', id: 1, timeoutMs }, timeoutMs)
  if (response.type === 'poweredOff') return response.remaining
  throw unexpected(response)
}

/** Ends a power-off-all. Rejects as `askPowerOffAll` does. */
export async function askPowerOnAll(sockets: FdSockets, clock: Clock, path: string): Promise<void> {
  const response = await askBroker(sockets, clock, path, { type: 'powerOnAll', id: 1 }, 0)
  if (response.type !== 'ok') throw unexpected(response)
}

function unexpected(response: BrokerResponse): Error {
  return new Error(response.type === 'error' ? response.message : `the broker answered with ${response.type}`)
}

async function askBroker(
  sockets: FdSockets,
  clock: Clock,
  path: string,
  request: BrokerRequest,
  timeoutMs: number,
): Promise<BrokerResponse> {
  const connection = await sockets.connect(path)
  const patience = new AbortController()
  try {
    const late = sleep(clock, timeoutMs + graceMs, patience.signal).then(() => Promise.reject(new Error('the broker did not answer')))
    const answered = firstAnswer(connection)
    connection.send(encodeFrame(request))
    return await Promise.race([answered, late])
  } finally {
    patience.abort(new Error('done'))
    connection.close()
  }
}

function firstAnswer(connection: FdConnection): Promise<BrokerResponse> {
  return new Promise((resolve, reject) => {
    const decoder = frameDecoder()
    connection.onData((bytes) => {
      for (const frame of decoder.push(bytes)) {
        const response = brokerResponse.safeParse(frame)
        // The first frame is the hello, which does not match this schema.
        if (response.success) resolve(response.data)
      }
    })
    connection.onClose((error) => reject(error ?? new Error('the broker closed the connection')))
  })
}

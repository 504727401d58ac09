import type { Layout } from '../../../src/api/layout.ts'
import { encodeFrame, frameDecoder } from '../../../src/api/wire/frames.ts'
import { runnerHello, type RunnerResponse, runnerResponse } from '../../../src/api/wire/runner-control.ts'
import { PortError } from '../../../src/ports/errors.ts'
import type { FdSockets } from '../../../src/ports/fd-socket.ts'
import type { Runners } from '../../../src/ports/runners.ts'
import type { Process } from './process.ts'
import type { VmUid } from '../../../src/api/names.ts'

const deadlineMs = 2_000

/** As `src/adapters/node/runner-sockets.ts`, over simulated sockets and time. */
export function memoryRunners(layout: Layout, sockets: FdSockets, process: Process): Runners {
  async function ask(uid: VmUid, type: 'status' | 'powerOff' | 'live'): Promise<RunnerResponse> {
    const connection = await sockets.connect(layout.controlSocket(uid))
    const { promise, resolve, reject } = Promise.withResolvers<RunnerResponse>()
    const cancel = process.clock.after(deadlineMs, () => reject(new PortError('Unavailable', 'the runner is not responding')))
    const decoder = frameDecoder()
    let greeted = false
    connection.onData((bytes) => {
      for (const frame of decoder.push(bytes)) {
        if (greeted) resolve(runnerResponse.parse(frame))
        else if (runnerHello.parse(frame).uid === uid) connection.send(encodeFrame({ type, id: 1 }))
        else reject(new PortError('Denied', 'what listens on the control socket is another runner'))
        greeted = true
      }
    })
    connection.onClose(() => reject(new PortError('Unavailable', 'the runner closed the connection')))
    try {
      return await promise
    } finally {
      cancel()
      connection.close()
    }
  }

  return {
    async status(uid) {
      const answer = await ask(uid, 'status')
      if (answer.type !== 'status') throw new PortError('Unavailable', 'the runner sent no status')
      if (answer.status.uid !== uid)
        throw new PortError('Denied', `the runner in this VM's directory reports another VM: ${answer.status.uid}`)
      return answer.status
    },
    // No simulated guest has a server.
    guestPort: () => Promise.resolve('silent'),
    async applyLive(uid) {
      const answer = await ask(uid, 'live')
      return answer.type === 'live' ? answer.problems : 'unsupported'
    },
    async powerOff(uid) {
      await ask(uid, 'powerOff')
    },
    control: () => Promise.reject(new PortError('Invalid', 'not simulated')),
    exec: () => Promise.resolve({ kind: 'noAgent', message: 'no agent runs in the guest' }),
  }
}

import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { type Socket, connect } from 'node:net'
import type { Layout } from '../../api/layout.ts'
import { printable } from '../../api/printable.ts'
import type { VmUid } from '../../api/names.ts'
import { encodeFrame, frameDecoder } from '../../api/wire/frames.ts'
import {
  runnerControlVersion,
  runnerHello,
  type RunnerRequest,
  type RunnerResponse,
  runnerResponse,
} from '../../api/wire/runner-control.ts'
import { PortError } from '../../ports/errors.ts'
import { messageOf } from '../../api/error-message.ts'
import type { Runners } from '../../ports/runners.ts'

/** Time from connecting to the answer. A runner answers from memory. */
const deadlineMs = 2_000
/** For QEMU, which carries out several commands. */
const liveMs = 8_000
/** A hello and one answer. A peer that sends more is not a runner. */
const maxFrames = 4

type WithoutId<Request> = Request extends unknown ? Omit<Request, 'id'> : never
type Question = WithoutId<RunnerRequest>

export interface RunnerSocketsOptions {
  readonly layout: Layout
  /** Shorter only in tests. */
  readonly deadlineMs?: number
}

export function runnerSockets(options: RunnerSocketsOptions): Runners {
  const ask = (uid: VmUid, question: Question, signal?: AbortSignal, extraMs = 0): Promise<RunnerResponse> =>
    askRunner(options.layout.controlSocket(uid), uid, question, deadline((options.deadlineMs ?? deadlineMs) + extraMs, signal))
  return {
    async guestPort(uid, port, timeoutMs, signal) {
      const answer = await ask(uid, { type: 'guestPort', port, timeoutMs }, signal, timeoutMs)
      if (answer.type !== 'guestPort')
        throw new PortError('Unavailable', answer.type === 'error' ? answer.message : 'the runner did not check the port')
      return answer.state
    },
    async status(uid, signal) {
      const answer = await ask(uid, { type: 'status' }, signal)
      if (answer.type !== 'status')
        throw new PortError('Unavailable', answer.type === 'error' ? answer.message : 'the runner sent no status')
      if (answer.status.uid !== uid)
        throw new PortError('Denied', `the runner in this VM's directory reports another VM:  ${answer.status.uid}`)
      return answer.status
    },
    async applyLive(uid, signal) {
      const answer = await ask(uid, { type: 'live' }, signal, liveMs)
      return answer.type === 'live' ? answer.problems : 'unsupported'
    },
    async powerOff(uid, signal) {
      const answer = await ask(uid, { type: 'powerOff' }, signal)
      if (answer.type !== 'ok')
        throw new PortError('Unavailable', answer.type === 'error' ? answer.message : 'the runner did not accept the order')
    },
    async control(uid, action, signal) {
      const answer = await ask(uid, { type: 'control', action }, signal)
      if (answer.type === 'error') throw new PortError('Invalid', answer.message)
      if (answer.type !== 'ok') throw new PortError('Unavailable', 'the runner did not accept the order')
    },
    async exec(uid, { command, timeoutMs }, signal) {
      const answer = await ask(uid, { type: 'guestExec', command: [...command], timeoutMs }, signal, timeoutMs)
      if (answer.type === 'guestExec') return answer.outcome
      throw new PortError('Unavailable', answer.type === 'error' ? answer.message : 'the runner did not run the program')
    },
  }
}

function deadline(ms: number, signal?: AbortSignal): AbortSignal {
  return signal ? AbortSignal.any([signal, AbortSignal.timeout(ms)]) : AbortSignal.timeout(ms)
}

async function askRunner(path: string, uid: VmUid, question: Question, signal: AbortSignal): Promise<RunnerResponse> {
  const pinned = await openSocket(path)
  // Connects through the opened descriptor, so that a runner cannot replace the name by a symlink to another VM's socket.
  const socket = connect(`/proc/self/fd/${pinned.fd}`)
  try {
    return await converse(socket, uid, question, signal)
  } finally {
    socket.destroy()
    await pinned.close()
  }
}

/** Linux's O_PATH, which Node does not define. It opens a socket's file without connecting to it, and does not follow a symlink. */
const openPath = 0o10000000

async function openSocket(path: string): Promise<FileHandle> {
  const file = await open(path, openPath | constants.O_NOFOLLOW).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT')
      throw new PortError('NotFound', 'the runner has no control socket yet; check that its task is running', { cause })
    throw new PortError('Unavailable', cause.message, { cause })
  })
  if ((await file.stat()).isSocket()) return file
  await file.close()
  throw new PortError('Denied', `${path} is not a socket`)
}

function converse(socket: Socket, uid: VmUid, question: Question, signal: AbortSignal): Promise<RunnerResponse> {
  return new Promise((resolve, reject) => {
    const decoder = frameDecoder()
    let frames = 0
    const onFrame = (frame: unknown): void => {
      frames += 1
      if (frames > maxFrames) throw new PortError('Denied', 'the process on the control socket sent too many messages')
      if (frames === 1) {
        mustBeRunnerOf(uid, frame)
        socket.write(encodeFrame({ ...question, id: 1 }))
        return
      }
      const answer = runnerResponse.safeParse(frame)
      if (!answer.success) throw new PortError('Unavailable', 'this release does not support the answer of the runner')
      if (answer.data.id === 1 || answer.data.id === null) resolve(answer.data)
    }
    socket.on('data', (chunk) => {
      try {
        for (const frame of decoder.push(chunk)) onFrame(frame)
      } catch (error) {
        reject(
          error instanceof PortError
            ? error
            : new PortError('Denied', `the process on the control socket is not a runner: ${printable(messageOf(error))}`),
        )
        socket.destroy()
      }
    })
    socket.once('error', (cause) => reject(new PortError('Unavailable', `the runner is not responding: ${cause.message}`, { cause })))
    socket.once('close', () => reject(new PortError('Unavailable', 'the runner closed its control socket')))
    const late = (): void => reject(new PortError('Unavailable', 'the runner did not answer in time'))
    // An event listener is not called for a signal that was aborted before.
    if (signal.aborted) late()
    else signal.addEventListener('abort', late, { once: true })
  })
}

function mustBeRunnerOf(uid: VmUid, frame: unknown): void {
  const hello = runnerHello.safeParse(frame)
  if (!hello.success) throw new PortError('Denied', 'the process on the control socket is not a runner: it sent no hello')
  if (hello.data.uid !== uid) throw new PortError('Denied', `the control socket belongs to another VM (${hello.data.uid})`)
  if (hello.data.version < runnerControlVersion)
    throw new PortError('Unavailable', `the runner uses the unsupported version ${hello.data.version} of the control protocol`)
}

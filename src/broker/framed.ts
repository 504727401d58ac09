import { encodeFrame, frameDecoder } from '../api/wire/frames.ts'
import type { FdConnection } from '../ports/fd-socket.ts'

/** KVM and eight TAPs are nine descriptors. No client needs more at a time. */
const maxHeldFds = 16

export interface FramedOptions {
  /** Closes the connection of a peer that sends more frames. */
  readonly maxFrames: number
  /** `takeFds(n)` returns the oldest descriptors of this or an earlier frame, and throws if there are fewer. An error closes the connection. */
  readonly onFrame: (frame: unknown, takeFds: (count: number) => number[]) => void
  readonly closeFds: (fds: readonly number[]) => void
  readonly onClose: (error: Error | undefined) => void
}

export interface Framed {
  send(message: object, fds?: readonly number[]): void
  flushed(): Promise<void>
  close(): void
}

/** Frames over a connection that carries descriptors. A bad frame closes only its own connection. */
export function framed(connection: FdConnection, options: FramedOptions): Framed {
  const decoder = frameDecoder()
  const held: number[] = []
  let frames = 0
  let why: Error | undefined
  let closed = false
  const close = (): void => {
    closed = true
    connection.close()
  }
  const takeFds = (count: number): number[] => {
    if (held.length < count) throw new Error(`a frame announced ${count} descriptors and ${held.length} came`)
    return held.splice(0, count)
  }
  connection.onData((bytes, fds) => {
    held.push(...fds)
    try {
      if (held.length > maxHeldFds) throw new Error('the peer sent more descriptors than a frame can announce')
      for (const frame of decoder.push(bytes)) {
        frames += 1
        if (frames > options.maxFrames) throw new Error('the peer sends too many frames')
        options.onFrame(frame, takeFds)
        if (closed) break
      }
    } catch (error) {
      why = error as Error
      close()
    }
  })
  connection.onClose((error) => {
    options.closeFds(held.splice(0))
    options.onClose(error ?? why)
  })
  return {
    send: (message, fds) => connection.send(encodeFrame(message), fds),
    flushed: () => connection.flushed(),
    close,
  }
}

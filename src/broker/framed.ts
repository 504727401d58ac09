import { encodeFrame, frameDecoder } from '../api/wire/frames.ts'
import type { FdConnection } from '../ports/fd-socket.ts'

/** KVM and eight TAPs are nine; more at once nobody has a reason to send. */
const maxHeldFds = 16

export interface FramedOptions {
  /** A peer that sends more frames than this is cut off. */
  readonly maxFrames: number
  /** `takeFds(n)` gives the oldest descriptors that came with this or an earlier frame; throws where there are fewer. What throws cuts the peer off. */
  readonly onFrame: (frame: unknown, takeFds: (count: number) => number[]) => void
  readonly closeFds: (fds: readonly number[]) => void
  readonly onClose: (error: Error | undefined) => void
}

export interface Framed {
  send(message: object, fds?: readonly number[]): void
  flushed(): Promise<void>
  close(): void
}

/** Frames over a connection that carries descriptors. A bad frame closes this connection and no other. */
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
      if (held.length > maxHeldFds) throw new Error('more descriptors came than any frame announces')
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

import type { Libc, Readiness } from './libc.ts'

export interface Watch {
  /** Sets the events to wait for. A pending wait keeps the process alive. */
  want(readable: boolean, writable: boolean): void
  /** Call this before the descriptor is closed. No callback runs after it. Idempotent. */
  close(): void
}

export interface Poller {
  /** Calls back, level-triggered, when a call on the descriptor would not block. This includes errors: the call returns them. */
  watch(fd: number, onReady: () => void): Watch
}

/**
 * Polls descriptors in libuv's own loop, without a thread that could delay an exit. libuv calls outside Node's callback scope, where promises do not
 * continue and exceptions are lost. The callbacks therefore run from `setImmediate`, in the same turn of the loop.
 */
export function poller(libc: Pick<Libc, 'poll'>): Poller {
  let ready: (() => void)[] = []
  const dispatch = (): void => {
    const now = ready
    ready = []
    for (const call of now) call()
  }
  const enqueue = (call: () => void): void => {
    if (ready.length === 0) setImmediate(dispatch)
    ready.push(call)
  }
  return {
    watch(fd, onReady) {
      const handle = libc.poll(fd)
      let wanted: Readiness = { readable: false, writable: false }
      let closed = false
      const call = (): void => {
        if (!closed && (wanted.readable || wanted.writable)) onReady()
      }
      // libuv stops a handle on POLLERR. Otherwise starting it again is harmless.
      const start = (): void =>
        handle.start(wanted, () => {
          handle.stop()
          enqueue(() => {
            call()
            if (!closed && (wanted.readable || wanted.writable)) start()
          })
        })
      return {
        want(readable, writable) {
          if (closed || (wanted.readable === readable && wanted.writable === writable)) return
          wanted = { readable, writable }
          if (readable || writable) start()
          else handle.stop()
        },
        close() {
          if (closed) return
          closed = true
          handle.close()
        },
      }
    },
  }
}

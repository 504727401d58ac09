import type { Libc, Readiness } from './libc.ts'

export interface Watch {
  /** Replaces what is waited for. While it is anything, the process stays alive. */
  want(readable: boolean, writable: boolean): void
  /** Before the descriptor is closed; nothing is called back after it. Idempotent. */
  close(): void
}

export interface Poller {
  /** Calls back, level-triggered, when a call on the descriptor would not wait, an error included: making the call tells which it is. */
  watch(fd: number, onReady: () => void): Watch
}

/**
 * Waits for descriptors in libuv's own loop: no thread, so nothing is in the way of an exit. libuv calls outside of Node's callback scope, where
 * promises would not go on and an exception would be lost; the callbacks therefore run from `setImmediate`, still in the same turn of the loop.
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
      // libuv stops a handle on POLLERR; starting it again is harmless otherwise.
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

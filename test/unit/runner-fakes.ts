import type { Channel } from '../../src/ports/child-process.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { FdConnection } from '../../src/ports/fd-socket.ts'
import type { Log } from '../../src/ports/log.ts'
import { aUid } from '../support/branded.ts'

export const uid = aUid('11111111-1111-4111-8111-111111111111')

/** Time that stands still until `pass`. */
export function virtualClock(startMs = Date.parse('2026-01-01T00:00:00Z')): Clock & { pass(ms: number): Promise<void> } {
  let now = startMs
  let timers: { at: number; callback: () => void }[] = []
  return {
    now: () => now,
    elapsed: () => now,
    after(ms, callback) {
      const timer = { at: now + ms, callback }
      timers.push(timer)
      return () => {
        timers = timers.filter((each) => each !== timer)
      }
    },
    async pass(ms) {
      const end = now + ms
      await settle()
      for (;;) {
        const next = timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0]
        if (!next) break
        now = next.at
        timers = timers.filter((each) => each !== next)
        next.callback()
        await settle()
      }
      now = end
    },
  }
}

/** Lets everything run that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

export function recordingLog(): Log & { readonly lines: { level: string; message: string; fields: Readonly<Record<string, unknown>> }[] } {
  const lines: { level: string; message: string; fields: Readonly<Record<string, unknown>> }[] = []
  const at = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => void lines.push({ level, message, fields })
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** The far end of a child's channel. */
export function fakeChannel(): Channel & { readonly written: string[]; give(text: string | Uint8Array): void; end(): void } {
  const written: string[] = []
  let onData: (bytes: Uint8Array) => void = () => undefined
  let onClose: () => void = () => undefined
  return {
    written,
    write: (bytes) => void written.push(Buffer.from(bytes).toString()),
    onData: (listener) => {
      onData = listener
    },
    onClose: (listener) => {
      onClose = listener
    },
    give: (text) => onData(Buffer.from(text)),
    end: () => onClose(),
  }
}

export interface FarEnd {
  /** The frames from the near end, with the descriptors that were open then. */
  readonly received: { frame: Record<string, unknown>; fds: readonly number[] }[]
  give(message: object, fds?: readonly number[]): void
  giveText(text: string, fds?: readonly number[]): void
  cut(): void
  readonly closed: boolean
}

/** A connection and its peer. */
export function fakeConnection(): { near: FdConnection; far: FarEnd } {
  const received: FarEnd['received'] = []
  let closed = false
  let onData: (bytes: Uint8Array, fds: readonly number[]) => void = () => undefined
  const onClose: (() => void)[] = []
  const close = (): void => {
    if (closed) return
    closed = true
    for (const listener of onClose) queueMicrotask(listener)
  }
  const giveText = (text: string, fds: readonly number[] = []): void => onData(Buffer.from(text), fds)
  return {
    near: {
      send(bytes, fds = []) {
        if (closed) return
        for (const line of Buffer.from(bytes).toString().trim().split('\n')) {
          received.push({ frame: JSON.parse(line) as Record<string, unknown>, fds: [...fds] })
        }
      },
      flushed: () => (closed ? Promise.reject(new Error('closed')) : Promise.resolve()),
      onData: (listener) => {
        onData = listener
      },
      onClose: (listener) => void onClose.push(listener),
      close,
    },
    far: {
      received,
      give: (message, fds) => giveText(`${JSON.stringify(message)}\n`, fds),
      giveText,
      cut: close,
      get closed() {
        return closed
      },
    },
  }
}

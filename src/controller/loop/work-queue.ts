import type { Clock } from '../../ports/clock.ts'
import type { Random } from '../../ports/random.ts'
import { backoffMs } from './backoff.ts'

/**
 * The keys to reconcile, modeled on client-go's workqueue: `ready` in order, `dirty` added and not taken, `processing` taken and not done.
 *
 * *Guarantees*: one run per key at a time; a key that is added during its run runs again afterwards; any number of adds before a take are
 * one run; the earliest of several delays wins. *Assumptions*: `done` is called for every key taken.
 */
export interface WorkQueue<Key> {
  add(key: Key): void
  addAfter(key: Key, ms: number): void
  /** Restarts the delay of a key whose plan was revalidated. Does nothing without a delay or in backoff. */
  postpone(key: Key, ms: number): void
  /** Adds after the key's own backoff, and counts the failure. */
  addFailed(key: Key): void
  /** The key succeeded: resets its backoff. */
  forget(key: Key): void
  /** An agent or Docker is back: keys in backoff run now. */
  wake(): void
  /** True for a key that waits after a failure; a resync does not requeue it. */
  inBackoff(key: Key): boolean
  /** Undefined if no key is ready. Cancels the key's delay. */
  take(): Key | undefined
  done(key: Key): void
  /** The number of ready keys, and when each current run began, by `Clock.elapsed`. */
  state(): { readonly depth: number; readonly workingSinceMs: readonly number[] }
  /** Cancels all timers and ignores later adds. */
  close(): void
}

export interface WorkQueueHooks {
  /** Called once for each key that becomes ready. */
  readonly onReady: () => void
  readonly onAdd?: () => void
  readonly onRetry?: () => void
  /** `waitedMs` is how long the key was ready. */
  readonly onTake?: (waitedMs: number) => void
  /** `workedMs` is how long the run took. */
  readonly onDone?: (workedMs: number) => void
}

interface Delay {
  readonly dueMs: number
  readonly cancel: () => void
}

export function workQueue<Key>(clock: Clock, random: Random, hooks: WorkQueueHooks): WorkQueue<Key> {
  const ready: { readonly key: Key; readonly sinceMs: number }[] = []
  const dirty = new Set<Key>()
  /** Since when, by `Clock.elapsed`. */
  const processing = new Map<Key, number>()
  const delayed = new Map<Key, Delay>()
  const failures = new Map<Key, number>()
  const backingOff = new Set<Key>()
  let closed = false

  function push(key: Key): void {
    ready.push({ key, sinceMs: clock.elapsed() })
    hooks.onReady()
  }

  function add(key: Key): void {
    if (closed || dirty.has(key)) return
    dirty.add(key)
    hooks.onAdd?.()
    if (!processing.has(key)) push(key)
  }

  function cancelDelay(key: Key): void {
    delayed.get(key)?.cancel()
    delayed.delete(key)
    backingOff.delete(key)
  }

  function addAfter(key: Key, ms: number): void {
    if (closed) return
    const dueMs = clock.elapsed() + ms
    const held = delayed.get(key)
    if (held !== undefined && held.dueMs <= dueMs) return
    held?.cancel()
    const cancel = clock.after(ms, () => {
      cancelDelay(key)
      add(key)
    })
    delayed.set(key, { dueMs, cancel })
  }

  function postpone(key: Key, ms: number): void {
    if (!delayed.has(key) || backingOff.has(key) || ms <= 0) return
    cancelDelay(key)
    addAfter(key, ms)
  }

  function addFailed(key: Key): void {
    const count = (failures.get(key) ?? 0) + 1
    failures.set(key, count)
    hooks.onRetry?.()
    addAfter(key, backoffMs(count, random))
    backingOff.add(key)
  }

  function take(): Key | undefined {
    const next = ready.shift()
    if (next === undefined) return undefined
    const { key, sinceMs } = next
    dirty.delete(key)
    processing.set(key, clock.elapsed())
    cancelDelay(key)
    hooks.onTake?.(clock.elapsed() - sinceMs)
    return key
  }

  function done(key: Key): void {
    const sinceMs = processing.get(key)
    if (sinceMs !== undefined) hooks.onDone?.(clock.elapsed() - sinceMs)
    processing.delete(key)
    if (dirty.has(key)) push(key)
  }

  function wake(): void {
    failures.clear()
    for (const key of backingOff) {
      cancelDelay(key)
      add(key)
    }
  }

  function close(): void {
    closed = true
    for (const key of delayed.keys()) cancelDelay(key)
    ready.length = 0
    dirty.clear()
  }

  return {
    add,
    addAfter,
    postpone,
    addFailed,
    forget: (key) => void failures.delete(key),
    wake,
    inBackoff: (key) => backingOff.has(key),
    take,
    done,
    state: () => ({ depth: ready.length, workingSinceMs: [...processing.values()] }),
    close,
  }
}

import type { Clock } from '../../ports/clock.ts'
import type { Random } from '../../ports/random.ts'
import { backoffMs } from './backoff.ts'

/**
 * Which keys to look at, after client-go's workqueue: `ready` in order, `dirty` asked for and not taken, `processing` taken and not done.
 *
 * *Guarantees*: a key is processed once at a time; a key that is added while it is processed runs again afterwards; any number of adds
 * before a take are one run; of several delays of one key the earliest wins. *Assumptions*: every key taken is given back with `done`.
 */
export interface WorkQueue<Key> {
  add(key: Key): void
  addAfter(key: Key, ms: number): void
  /** What the key waits for was found out without it: its delay begins anew. Nothing, where it waits for none or because it failed. */
  postpone(key: Key, ms: number): void
  /** Adds after the key's own backoff, and counts the failure. */
  addFailed(key: Key): void
  /** The key did well: its next failure starts at the first step again. */
  forget(key: Key): void
  /** What was away is back: keys that wait in backoff are looked at now. */
  wake(): void
  /** Waiting because it failed; a resync leaves it alone. */
  inBackoff(key: Key): boolean
  /** Undefined where nothing is ready. A run supersedes the delays that were asked for before it. */
  take(): Key | undefined
  done(key: Key): void
  /** Keys that are ready and not taken, and since when each key is worked on, by `Clock.elapsed`. */
  state(): { readonly depth: number; readonly workingSinceMs: readonly number[] }
  /** No more runs: timers are cancelled, adds are ignored. */
  close(): void
}

export interface WorkQueueHooks {
  /** A key became ready to be taken; called once for each. */
  readonly onReady: () => void
  readonly onAdd?: () => void
  readonly onRetry?: () => void
  /** With how long the key had been ready. */
  readonly onTake?: (waitedMs: number) => void
  /** With how long the key was worked on. */
  readonly onDone?: (workedMs: number) => void
}

interface Delay {
  readonly dueMs: number
  readonly cancel: () => void
}

export function workQueue<Key>(clock: Clock, random: Random, hooks: WorkQueueHooks): WorkQueue<Key> {
  const ready: { readonly key: Key; readonly sinceMs: number }[] = []
  const dirty = new Set<Key>()
  /** Since when. */
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

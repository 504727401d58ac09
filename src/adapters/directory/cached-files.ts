import { sha256Hex } from '../../api/hash.ts'
import { boundedFile, boundedFileSync, type FileStart } from './bounded-file.ts'
import { fileMarks } from './file-mark.ts'
import type { SourceFiles } from './source-files.ts'
import { maxFiles } from './walk.ts'

/** How long a file must stay unchanged before its new content is used (ADR 0022). */
export interface Settling {
  /** Below the controller's debounce, so that an edit found by a hint is used at once. */
  readonly quietMs: number
  /** For a last line without a newline. Most writers end a file with one, so the file may be incomplete. */
  readonly cutMs: number
}

export const settled: Settling = { quietMs: 150, cutMs: 5_000 }

/** The file may still be written. Its previous value stays in use until the file has settled. */
export class UnsettledError<Value> extends Error {
  /** Undefined if the file was never used before. */
  readonly before: Value | undefined
  /** Milliseconds until its content is used, if it stays unchanged. */
  readonly leftMs: number

  constructor(before: Value | undefined, leftMs: number) {
    super('it has just changed; waiting until it is unchanged')
    this.before = before
    this.leftMs = leftMs
  }
}

interface Known<Value> {
  readonly hash: string
  readonly value: Value
}
interface CachedFile<Value> extends Known<Value> {
  /** Identifies the bytes that were read. Undefined if the file can change without changing this mark. */
  readonly mark: string | undefined
}
interface Pending<Value> extends Known<Value> {
  /** When these bytes were first seen. */
  readonly sinceMs: number
}

/** Files are read again at this interval even with an unchanged mark, since some file systems report few changes. */
const wholeEveryMs = 300_000

export interface CachedFiles<Value> {
  /** `path` must contain no symlinks. Throws UnsettledError, or the reason why it cannot be read. */
  readonly read: (path: string, shown: string) => Promise<Value>
  /** Starts a full read. */
  readonly begin: () => void
}

export interface CacheOptions<Value> {
  readonly files: SourceFiles
  readonly parse: (shown: string, bytes: Uint8Array) => Value
  /** For a larger file, `parse` gets one byte more than this. */
  readonly maxBytes: number
  /** If undefined, new content is used at once. */
  readonly settling: Settling | undefined
  /** Nothing depends on an idle value. If a file has no other value yet, its content is used at once. */
  readonly isIdle?: (value: Value) => boolean
}

/**
 * Caches parsed files. The same mark means the same bytes, except for one read every five minutes, so a rescan neither reads nor parses. New content
 * is used once it has settled. The cache has one entry per file.
 */
export function cachedFiles<Value>({ files, parse, maxBytes, settling, isIdle = () => false }: CacheOptions<Value>): CachedFiles<Value> {
  const cached = new Map<string, CachedFile<Value>>()
  const pending = new Map<string, Pending<Value>>()
  const { clock } = files
  let wholeAtMs = clock.elapsed()
  let isWhole = false
  let markOf = fileMarks(files)

  function store(shown: string, now: CachedFile<Value>): Value {
    pending.delete(shown)
    putLast(cached, shown, now)
    return now.value
  }

  return {
    begin() {
      markOf = fileMarks(files)
      isWhole = clock.elapsed() - wholeAtMs >= wholeEveryMs
      if (isWhole) wholeAtMs = clock.elapsed()
    },
    async read(path, shown) {
      const before = cached.get(shown)
      const { mark, isLocal } = await markOf(path)
      if (before !== undefined && mark !== undefined && mark === before.mark && !isWhole) return store(shown, before)
      const file = isLocal ? boundedFileSync(files, path, maxBytes + 1) : await boundedFile(files, path, maxBytes + 1)
      const hash = sha256Hex(file.bytes)
      if (before?.hash === hash) return store(shown, { ...before, mark })
      const seen = pending.get(shown)
      const now = seen?.hash === hash ? seen : { hash, value: parse(shown, file.bytes), sinceMs: clock.elapsed() }
      const isIdleStill = before !== undefined && isIdle(before.value) && isIdle(now.value)
      const leftMs = settling === undefined || isIdleStill ? 0 : unsettledMs({ ...file, shown }, isLocal, now.sinceMs, settling, clock)
      if (leftMs <= 0) return store(shown, { mark, hash, value: now.value })
      putLast(pending, shown, now)
      throw new UnsettledError(before?.value, leftMs)
    },
  }
}

/** Uses the file's modification time if its clock is ours, or else the time when these bytes were first seen. */
function unsettledMs(
  { bytes, changedMs, shown }: FileStart & { readonly shown: string },
  isLocal: boolean,
  sinceMs: number,
  { quietMs, cutMs }: Settling,
  clock: SourceFiles['clock'],
): number {
  const neededMs = mayBeCut(shown, bytes) ? cutMs : quietMs
  const sameMs = clock.elapsed() - sinceMs
  return neededMs - (isLocal ? Math.max(sameMs, clock.now() - changedMs) : sameMs)
}

function mayBeCut(shown: string, bytes: Uint8Array): boolean {
  const newline = 0x0a
  if (bytes.length === 0 || bytes.at(-1) === newline) return false
  return !(shown.toLowerCase().endsWith('.json') && isWholeJson(bytes))
}

/** An incomplete object or list is invalid JSON. */
function isWholeJson(bytes: Uint8Array): boolean {
  try {
    return typeof JSON.parse(new TextDecoder().decode(bytes)) === 'object'
  } catch {
    return false
  }
}

function putLast<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > maxFiles && oldest !== undefined) map.delete(oldest)
}

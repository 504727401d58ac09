import { sha256Hex } from '../../api/hash.ts'
import { boundedFile, boundedFileSync, type FileStart } from './bounded-file.ts'
import { fileMarks } from './file-mark.ts'
import type { SourceFiles } from './source-files.ts'
import { maxFiles } from './walk.ts'

/** For how long a file must not have changed before it counts (ADR 0022). */
export interface Settling {
  /** Below the controller's debounce: an edit whose hint was waited for counts at once. */
  readonly quietMs: number
  /** The last line has no newline: most writers end a file with one, so this may be the first half of it. */
  readonly cutMs: number
}

export const settled: Settling = { quietMs: 150, cutMs: 5_000 }

/** A file may still be written: what it said before stays in force until it has been left alone for long enough. */
export class UnsettledError<Value> extends Error {
  /** Undefined where it never counted. */
  readonly before: Value | undefined
  /** In how many ms it counts, if it does not change any more. */
  readonly leftMs: number

  constructor(before: Value | undefined, leftMs: number) {
    super('it changed a moment ago and is read again before it counts')
    this.before = before
    this.leftMs = leftMs
  }
}

interface Known<Value> {
  readonly hash: string
  readonly value: Value
}
interface Held<Value> extends Known<Value> {
  /** Identifies the bytes that were read. Undefined when the file may have changed without changing it. */
  readonly mark: string | undefined
}
interface Pending<Value> extends Known<Value> {
  /** When these bytes were seen for the first time. */
  readonly sinceMs: number
}

/** So often bytes are read whatever the file system says of a file: some say little. */
const wholeEveryMs = 300_000

export interface KeptFiles<Value> {
  /** `path` leads through no link. Throws UnsettledError, and why it cannot be read. */
  readonly read: (path: string, shown: string) => Promise<Value>
  /** Begins a read of everything. */
  readonly begin: () => void
}

export interface KeptOptions<Value> {
  readonly files: SourceFiles
  readonly parse: (shown: string, bytes: Uint8Array) => Value
  /** `parse` is given one byte more of a file that is larger. */
  readonly maxBytes: number
  /** Without it, what a file says counts at once. */
  readonly settling: Settling | undefined
  /** Nothing hangs on such a value: as long as a file has no other, what it says counts at once. */
  readonly isIdle?: (value: Value) => boolean
}

/**
 * The same bytes give the same value, and a file with the same mark is taken to have the same bytes, but every five minutes: a rescan costs
 * neither reading nor parsing. Other bytes count once they are settled. Holds one entry a file, at most as many as files are read.
 */
export function keptFiles<Value>({ files, parse, maxBytes, settling, isIdle = () => false }: KeptOptions<Value>): KeptFiles<Value> {
  const held = new Map<string, Held<Value>>()
  const pending = new Map<string, Pending<Value>>()
  const { clock } = files
  let wholeAtMs = clock.elapsed()
  let isWhole = false
  let markOf = fileMarks(files)

  function keep(shown: string, now: Held<Value>): Value {
    pending.delete(shown)
    putLast(held, shown, now)
    return now.value
  }

  return {
    begin() {
      markOf = fileMarks(files)
      isWhole = clock.elapsed() - wholeAtMs >= wholeEveryMs
      if (isWhole) wholeAtMs = clock.elapsed()
    },
    async read(path, shown) {
      const before = held.get(shown)
      const { mark, isLocal } = await markOf(path)
      if (before !== undefined && mark !== undefined && mark === before.mark && !isWhole) return keep(shown, before)
      const file = isLocal ? boundedFileSync(files, path, maxBytes + 1) : await boundedFile(files, path, maxBytes + 1)
      const hash = sha256Hex(file.bytes)
      if (before?.hash === hash) return keep(shown, { ...before, mark })
      const seen = pending.get(shown)
      const now = seen?.hash === hash ? seen : { hash, value: parse(shown, file.bytes), sinceMs: clock.elapsed() }
      const isIdleStill = before !== undefined && isIdle(before.value) && isIdle(now.value)
      const leftMs = settling === undefined || isIdleStill ? 0 : unsettledMs({ ...file, shown }, isLocal, now.sinceMs, settling, clock)
      if (leftMs <= 0) return keep(shown, { mark, hash, value: now.value })
      putLast(pending, shown, now)
      throw new UnsettledError(before?.value, leftMs)
    },
  }
}

/** By the file's own time where the clock is ours, else by when these bytes were first seen. */
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

/** The first half of an object or a list is none. */
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

import type { VmName } from '../../api/names.ts'
import { type Clock, sleep } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { ManifestSource, SourceSnapshot } from '../../ports/manifest-source.ts'
import type { DeclarationStore } from './store.ts'
import { stackOf } from '../stack.ts'

/** Editors and git write several times in a row; a read in the middle is only wasted. */
const debounceMs = 200

export interface ManifestReaderPorts {
  readonly sources: readonly ManifestSource[]
  readonly store: DeclarationStore
  readonly clock: Clock
  readonly log: Log
  readonly resyncMs: number
  /** Called after each read with the VMs that are declared differently now. */
  readonly onRead: (changed: readonly VmName[]) => void
}

/** Keeps the declarations true: reads every source at the start, on hints, on the resync timer and when an absence is due. Ends with the signal. */
export async function readManifests(ports: ManifestReaderPorts, signal: AbortSignal): Promise<void> {
  const readers = ports.sources.map((source) => ({ source, pause: hintedPause(ports.clock) }))
  // An absence that shows in one source, or in the Swarm, is judged by fresh reads of all.
  ports.store.onDue(() => readers.forEach(({ pause }) => pause.reconsider()))
  await Promise.all(readers.map(({ source, pause }) => readSource(ports, source, pause, signal)))
}

/** The same sources, with one more hint: for whoever wants all of them read now. */
export function reloadable(sources: readonly ManifestSource[]): {
  readonly sources: readonly ManifestSource[]
  readonly reload: () => void
} {
  const hints = new Set<() => void>()
  const hinted = (source: ManifestSource): ManifestSource => ({
    read: (signal) => source.read(signal),
    readHinted: async (signal) => source.readHinted?.(signal),
    readAhead: async () => source.readAhead?.(),
    watch(onHint) {
      const unwatch = source.watch(onHint)
      hints.add(onHint)
      return () => {
        hints.delete(onHint)
        unwatch()
      }
    },
  })
  return { sources: sources.map(hinted), reload: () => hints.forEach((hint) => hint()) }
}

async function readSource(ports: ManifestReaderPorts, source: ManifestSource, pause: Pause, signal: AbortSignal): Promise<void> {
  const unwatch = source.watch(() => pause.hint())
  let said = ''
  try {
    while (!signal.aborted) {
      pause.clear()
      const read = await readOnce(ports, source, said, signal)
      said = read.said
      await pause.wait(() => Math.min(waitMs(ports), read.againMs), signal)
      await readHinted(ports, source, pause, signal)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    unwatch()
  }
}

/** What hints name is acted on at once; whether that was all is found out by a whole read, when they are over or have gone on for long. */
const quietMs = 300
const longestBurstMs = 2_000

async function readHinted(ports: ManifestReaderPorts, source: ManifestSource, pause: Pause, signal: AbortSignal): Promise<void> {
  const beganMs = ports.clock.elapsed()
  do {
    // Hints arrive in bursts, and what made the first may not be finished: it is looked at, and believed when it is read again.
    const waitedMs = ports.clock.elapsed() - pause.hintedMs()
    await Promise.all([sleep(ports.clock, Math.max(0, debounceMs - waitedMs), signal), source.readAhead?.()])
    pause.clear()
    const snapshot = await source.readHinted?.(signal).catch(notRead(ports.log, signal))
    if (snapshot === undefined) return
    ports.onRead(ports.store.fold(snapshot, { kind: 'hinted' }))
  } while (ports.clock.elapsed() - beganMs < longestBurstMs && (await pause.wait(() => quietMs, signal)))
}

function notRead(log: Log, signal: AbortSignal): (error: unknown) => undefined {
  return (error) => {
    if (!signal.aborted) log.error({ error: stackOf(error) }, 'A manifest source failed to read')
    return undefined
  }
}

interface Read {
  /** What was said of the source last. */
  readonly said: string
  /** In so many ms something counts that may still be written now. */
  readonly againMs: number
}

async function readOnce(ports: ManifestReaderPorts, source: ManifestSource, said: string, signal: AbortSignal): Promise<Read> {
  const beganMs = ports.clock.elapsed()
  const snapshot = await source.read(signal).catch(notRead(ports.log, signal))
  if (snapshot === undefined) return { said, againMs: Number.POSITIVE_INFINITY }
  const changed = ports.store.fold(snapshot, { kind: 'whole', beganMs })
  ports.onRead(changed)
  return { said: report(ports.log, snapshot, said), againMs: snapshot.readAgainMs ?? Number.POSITIVE_INFINITY }
}

/** An absence that is due and not judged waits for a read that did not come: no reason to read as fast as can be. */
const overdueMs = 1_000

/** Until the next resync, or until an absence is due to be judged. */
function waitMs(ports: ManifestReaderPorts): number {
  const due = ports.store.nextDueMs()
  if (due === undefined) return ports.resyncMs
  const leftMs = due - ports.clock.elapsed()
  return Math.min(ports.resyncMs, leftMs > 0 ? leftMs : overdueMs)
}

/** Says once what changed about the source as a whole; single documents are told by their VM's condition. Codes and positions only: an excerpt may hold a secret. */
function report(log: Log, snapshot: SourceSnapshot, said: string): string {
  const broken = snapshot.documents.filter((one) => !one.ok)
  const issues = broken.flatMap((one) =>
    one.otherKind === undefined ? one.issues.map(({ code, file, line }) => `${code} ${file}:${line}`) : [],
  )
  const ignored = broken.filter((one) => one.otherKind !== undefined).length
  const { source, complete, message } = snapshot
  const saying = JSON.stringify([complete, message, issues, ignored])
  if (saying === said) return said
  log.info({ source, complete, reason: message, documents: snapshot.documents.length, ignored, issues }, 'Read the manifests')
  return saying
}

interface Pause {
  hint(): void
  /** When the first hint since it was cleared came, by `Clock.elapsed`; now where none did. A whole read may have been under way then. */
  hintedMs(): number
  /** A wait under way asks again how long it is to be. */
  reconsider(): void
  clear(): void
  /** True where a hint ended it. */
  wait(ms: () => number, signal: AbortSignal): Promise<boolean>
}

const woken = Symbol('woken')

/** A wait that a hint ends; a hint during a read counts for the wait after it. */
function hintedPause(clock: Clock): Pause {
  let hintedMs: number | undefined
  let stale = false
  let wake = (): void => undefined
  return {
    hint(): void {
      hintedMs ??= clock.elapsed()
      wake()
    },
    hintedMs: () => hintedMs ?? clock.elapsed(),
    clear: () => void (hintedMs = undefined),
    reconsider(): void {
      stale = true
      wake()
    },
    async wait(ms, signal) {
      do {
        if (hintedMs !== undefined) return true
        stale = false
        const ended = new AbortController()
        // A reason of its own: the default one is an error, whose stack is written down.
        wake = () => ended.abort(woken)
        await sleep(clock, ms(), AbortSignal.any([signal, ended.signal])).catch((error: unknown) => {
          if (signal.aborted) throw error
        })
      } while (stale)
      return hintedMs !== undefined
    },
  }
}

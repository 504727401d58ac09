import type { VmName } from '../../api/names.ts'
import type { Clock } from '../../ports/clock.ts'
import { sleep } from '../../api/time.ts'
import type { Log } from '../../ports/log.ts'
import type { ManifestSource } from '../../ports/manifest-source.ts'
import type { SourceSnapshot } from '../../api/manifest/source-documents.ts'
import type { DeclarationStore } from './store.ts'
import { stackOf } from '../stack.ts'

/** Editors and git write several times in a row, so a read in between would be wasted. */
const debounceMs = 200

export interface ManifestReaderPorts {
  readonly sources: readonly ManifestSource[]
  readonly store: DeclarationStore
  readonly clock: Clock
  readonly log: Log
  readonly resyncMs: number
  /** Called after each read with the VMs whose declaration changed. */
  readonly onRead: (changed: readonly VmName[]) => void
}

/** Reads every source at the start, on change notifications, at each resync, and when an absence is due. Ends with the signal. */
export async function readManifests(ports: ManifestReaderPorts, signal: AbortSignal): Promise<void> {
  const readers = ports.sources.map((source) => ({ source, pause: hintedPause(ports.clock) }))
  // An absence is only accepted after fresh reads of all sources.
  ports.store.onDue(() => readers.forEach(({ pause }) => pause.reconsider()))
  await Promise.all(readers.map(({ source, pause }) => readSource(ports, source, pause, signal)))
}

/** Wraps the sources so that `reload` has all of them read now. */
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

/** A notified file is read at once. A complete read follows when the notifications stop, or after two seconds of them. */
const quietMs = 300
const longestBurstMs = 2_000

async function readHinted(ports: ManifestReaderPorts, source: ManifestSource, pause: Pause, signal: AbortSignal): Promise<void> {
  const beganMs = ports.clock.elapsed()
  do {
    // Notifications arrive in bursts, and the first write may not be finished: read ahead, but only use the read after the debounce.
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
    if (!signal.aborted) log.error({ error: stackOf(error) }, 'Cannot read a manifest source')
    return undefined
  }
}

interface Read {
  /** The last logged report about the source. */
  readonly said: string
  /** Read again after this time: a file that may still be being written then counts. */
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

/** The delay before the next read if an absence is due but a read failed. */
const overdueMs = 1_000

/** Until the next resync, or until an absence is due. */
function waitMs(ports: ManifestReaderPorts): number {
  const due = ports.store.nextDueMs()
  if (due === undefined) return ports.resyncMs
  const leftMs = due - ports.clock.elapsed()
  return Math.min(ports.resyncMs, leftMs > 0 ? leftMs : overdueMs)
}

/** Logs changes of a source as a whole; a VM's condition shows its own document. Only codes and positions, because an excerpt may contain a secret. */
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
  /** When the first notification since `clear` arrived, by `Clock.elapsed`; now if there was none. */
  hintedMs(): number
  /** Makes a current wait compute its duration again. */
  reconsider(): void
  clear(): void
  /** True if a notification ended it. */
  wait(ms: () => number, signal: AbortSignal): Promise<boolean>
}

const woken = Symbol('woken')

/** A wait that a notification ends; one that arrives during a read ends the next wait. */
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
        // A cheap abort reason: the default one is an error with a stack trace.
        wake = () => ended.abort(woken)
        await sleep(clock, ms(), AbortSignal.any([signal, ended.signal])).catch((error: unknown) => {
          if (signal.aborted) throw error
        })
      } while (stale)
      return hintedMs !== undefined
    },
  }
}

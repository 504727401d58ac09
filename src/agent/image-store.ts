import type { Layout } from '../api/layout.ts'
import { formatBytes } from '../api/quantity.ts'
import { type Clock, sleep } from '../ports/clock.ts'
import type { ImageArrivals } from '../ports/image-arrivals.ts'
import type { ImageTool } from '../ports/image-tool.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { FileFact, StateFiles } from '../ports/state-files.ts'
import { judgeFile, type StoredImage } from './image-file.ts'
import { insufficient, judgeSetback, mismatch, Refusal, reserveBytes, retryDelayMs, type Setback } from './image-setback.ts'
import { type Failure, type ImageReference, failed } from './prepare-plan.ts'

/** Copies and downloads at once: more only make each slower. */
const maxArrivals = 2
/** An answer waits so long for a small image, so that it need not be asked for twice. */
const patienceMs = 1_000
/** A partial file that nobody wrote to for so long has lost its writer; downloads give up after 30 s of silence. */
const abandonedMs = 120_000
/** An agent that was killed just now left one that looks alive still, so once is not enough. */
const sweepEveryMs = 600_000
const localImage = /^images\/(?!\.)[A-Za-z0-9._+-]{1,200}$/

export type ImageState = { readonly kind: 'stored'; readonly image: StoredImage } | Setback

export interface ImageStoreOptions {
  readonly layout: Layout
  readonly files: StateFiles
  readonly arrivals: ImageArrivals
  readonly tool: ImageTool
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Ends arrivals under way. */
  readonly signal: AbortSignal
}

export interface ImageStore {
  /**
   * Where an image is on its way into the store. Starts what is needed in the background and answers soon; asked again, it says how far it is.
   * Throws StateError.
   */
  resolve(image: ImageReference): Promise<ImageState>
  /** Removes partial files that killed agents left, now and again until the signal is aborted. Never rejects. */
  sweep(): Promise<void>
}

interface Wanted {
  /** Of the bytes: arrivals of the same bytes happen once. */
  readonly key: string
  readonly image: ImageReference
  /** Of an operator's file. */
  readonly version: string | undefined
}

interface PastSetback {
  readonly state: Setback
  readonly retryAtMs: number
  readonly attempts: number
}

/** The agent's content-addressed images: a file under its sha256 was hashed, judged and is never written again. */
export function imageStore(options: ImageStoreOptions): ImageStore {
  const { layout, files, clock } = options
  const arriving = new Map<string, { progress: string; done: Promise<void> }>()
  const setbacks = new Map<string, PastSetback>()
  /** SHA-256 of operators' files by source and version, so that a poll does not hash them again. */
  const hashes = new Map<string, string>()
  const verdicts = new Map<string, StoredImage | Failure>()
  const slots = semaphore(maxArrivals)
  /** Partial files of our own: to write one to a slow disk in the end may take longer than a dead one may be old. */
  const ours = new Set<string>()

  async function resolve(image: ImageReference): Promise<ImageState> {
    if (image.sha256 !== null) {
      const known = await stored(image.sha256)
      if (known) return known
    }
    return localImage.test(image.source) ? await resolveLocal(image) : await resolveRemote(image)
  }

  async function resolveLocal(image: ImageReference): Promise<ImageState> {
    const path = `${layout.root}/${image.source}`
    const fact = await files.stat(path)
    if (fact === undefined)
      return failed('ImageMissing', `${image.source} is not below the state root of this node; copy the image to ${path}`)
    if (fact.kind !== 'file') return failed('ImageRefused', `${path} is not a regular file; put the image itself there`)
    const key = `${image.source}@${fact.version}`
    const sha256 = hashes.get(key)
    if (sha256 === undefined) return (await lacksRoom(fact, image)) ?? (await arrive({ key, image, version: fact.version }))
    if (image.sha256 !== null && sha256 !== image.sha256) return mismatch(image, sha256)
    return (await stored(sha256)) ?? (await arrive({ key, image, version: fact.version }))
  }

  async function lacksRoom(fact: FileFact, image: ImageReference): Promise<Failure | undefined> {
    const { freeBytes } = await files.space(layout.store)
    return fact.sizeBytes > freeBytes - reserveBytes ? insufficient(image.source, fact.sizeBytes, freeBytes) : undefined
  }

  async function resolveRemote(image: ImageReference): Promise<ImageState> {
    const url = URL.parse(image.source)
    if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
      return failed('ImageSourceUnsupported', 'an image source is images/NAME or an http(s):// URL')
    }
    if (image.sha256 === null) return failed('ImageSourceUnsupported', 'an image from the network needs its sha256')
    return await arrive({ key: image.sha256, image, version: undefined })
  }

  /** Undefined where the store has no such image, and none that was refused. */
  async function stored(sha256: string): Promise<ImageState | undefined> {
    const verdict = verdicts.get(sha256)
    if (verdict && 'kind' in verdict) return verdict
    const path = layout.storedImage(sha256)
    if ((await files.stat(path))?.kind !== 'file') return undefined
    const judged = verdict ?? (await judge(path, sha256))
    return 'kind' in judged ? judged : { kind: 'stored', image: judged }
  }

  async function judge(path: string, sha256: string): Promise<StoredImage | Failure> {
    const verdict = await judgeFile(options, path, sha256)
    verdicts.set(sha256, verdict)
    return verdict
  }

  async function arrive(wanted: Wanted): Promise<ImageState> {
    const memo = `${wanted.image.source}#${wanted.key}#${wanted.image.sha256}`
    const setback = setbacks.get(memo)
    if (setback && clock.elapsed() < setback.retryAtMs) return setback.state
    let under = arriving.get(wanted.key)
    if (under === undefined) {
      const started = { progress: 'it waits for other images to arrive', done: Promise.resolve() }
      under = started
      arriving.set(wanted.key, started)
      started.done = slots(() => bring(wanted, memo, (text) => (started.progress = text))).finally(() => arriving.delete(wanted.key))
    }
    await Promise.race([under.done, sleep(clock, patienceMs, options.signal)])
    if (arriving.has(wanted.key))
      return { kind: 'preparing', reason: 'ImageArriving', message: `${wanted.image.source}: ${under.progress}` }
    return setbacks.get(memo)?.state ?? (await settled(wanted))
  }

  /** After an arrival that went well; for one that was shared with another reference, what this reference makes of it. */
  async function settled(wanted: Wanted): Promise<ImageState> {
    const sha256 = hashes.get(wanted.key) ?? wanted.image.sha256
    if (sha256 !== null && wanted.image.sha256 !== null && sha256 !== wanted.image.sha256) return mismatch(wanted.image, sha256)
    const state = sha256 === null ? undefined : await stored(sha256)
    return state ?? { kind: 'preparing', reason: 'ImageRetry', message: `${wanted.image.source} is asked for again` }
  }

  /** Never rejects: what went wrong is a setback, with the time after which an order tries again. */
  async function bring(wanted: Wanted, memo: string, onProgress: (text: string) => void): Promise<void> {
    let freeBytes = 0
    try {
      freeBytes = (await files.space(layout.store)).freeBytes
      await bringInto(wanted, freeBytes - reserveBytes, onProgress)
      setbacks.delete(memo)
    } catch (error) {
      const attempts = (setbacks.get(memo)?.attempts ?? 0) + 1
      const state = judgeSetback(error, wanted.image, freeBytes)
      setbacks.set(memo, { state, attempts, retryAtMs: clock.elapsed() + retryDelayMs(state.kind, attempts) })
      options.log.info({ image: wanted.image.source, reason: state.reason, detail: state.message }, 'An image did not arrive')
    }
  }

  async function bringInto(wanted: Wanted, maxBytes: number, onProgress: (text: string) => void): Promise<void> {
    const { image } = wanted
    const name = `${image.sha256 ?? 'local'}.partial-${options.random.uuid()}`
    ours.add(name)
    try {
      await bringAs(`${layout.store}/${name}`, wanted, maxBytes, onProgress)
    } finally {
      ours.delete(name)
    }
  }

  async function bringAs(
    partial: string,
    { image, key, version }: Wanted,
    maxBytes: number,
    onProgress: (text: string) => void,
  ): Promise<void> {
    const arrival = {
      maxBytes: Math.max(0, maxBytes),
      signal: options.signal,
      onProgress: (bytes: number, total: number | undefined) =>
        onProgress(`${formatBytes(bytes)}${total === undefined ? '' : ` of ${formatBytes(total)}`} arrived`),
    }
    const { sha256 } =
      version === undefined
        ? await options.arrivals.download(image.source, partial, arrival)
        : await options.arrivals.copy(`${layout.root}/${image.source}`, partial, arrival)
    try {
      if (version !== undefined && (await files.stat(`${layout.root}/${image.source}`))?.version === version) hashes.set(key, sha256)
      if (image.sha256 !== null && sha256 !== image.sha256) throw new Refusal(mismatch(image, sha256))
      onProgress('it is being looked at')
      const verdict = await judge(partial, sha256)
      if ('kind' in verdict) throw new Refusal(verdict)
      await files.publish(partial, layout.storedImage(sha256), 0o440)
      options.log.info({ image: image.source, sha256 }, 'Stored an image')
    } catch (error) {
      await files.remove(partial)
      throw error
    }
  }

  async function sweep(): Promise<void> {
    while (!options.signal.aborted) {
      await sweepPartials(options, ours).catch((error: unknown) =>
        options.log.warn({ error: (error as Error).message }, 'The image store could not be swept'),
      )
      await sleep(clock, sweepEveryMs, options.signal).catch(() => undefined)
    }
  }

  return { resolve, sweep }
}

async function sweepPartials(options: ImageStoreOptions, ours: ReadonlySet<string>): Promise<void> {
  const { files, layout, clock } = options
  for (const name of (await files.list(layout.store)) ?? []) {
    if (!/\.partial-[0-9a-f-]{36}$/.test(name) || ours.has(name)) continue
    const path = `${layout.store}/${name}`
    const fact = await files.stat(path)
    if (fact && clock.now() - fact.modifiedMs > abandonedMs) await files.remove(path)
  }
}

/** Lets `limit` runs through at a time, in the order in which they came. */
function semaphore(limit: number): (run: () => Promise<void>) => Promise<void> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (run) => {
    // A slot is handed over, never given back in between, so that nobody slips in before whoever was woken.
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve))
    else running += 1
    try {
      await run()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }
}

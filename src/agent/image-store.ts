import type { Layout } from '../api/layout.ts'
import type { Clock } from '../ports/clock.ts'
import { sleep } from '../api/time.ts'
import type { Arrival, ImageArrivals } from '../ports/image-arrivals.ts'
import type { ImageTool } from '../ports/image-tool.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { FileFact, StateFiles } from '../ports/state-files.ts'
import { arrivalQueue } from './arrival-queue.ts'
import { imageIntake, type Wanted } from './image-intake.ts'
import { judgeFile, type StoredImage } from './image-file.ts'
import { insufficient, judgeSetback, mismatch, Refusal, reserveBytes, retryDelayMs, type Setback } from './image-setback.ts'
import { sweepPartials } from './image-sweep.ts'
import { type Failure, type ImageReference, failed } from './prepare-plan.ts'
import { quietFiles, quietMs } from './quiet-files.ts'

/** More downloads at a time would only slow each of them. Copies have their own slots, so that no server delays them. */
const maxDownloads = 2
const maxCopies = 2
/** Wait this long for a small image, so that the first answer can already be final. */
const patienceMs = 1_000
/** Sweeps repeatedly: right after a restart, the partial file of the killed agent is still too young to remove. */
const sweepEveryMs = 600_000
const localFile = /^(?:images|isos)\/(?!\.)[A-Za-z0-9._+-]{1,200}$/

export type ImageState = { readonly kind: 'stored'; readonly image: StoredImage } | Setback

export interface ImageStoreOptions {
  readonly layout: Layout
  readonly files: StateFiles
  readonly arrivals: ImageArrivals
  readonly tool: ImageTool
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Cancels running arrivals. */
  readonly signal: AbortSignal
  /** Whether a file can be used. Default: `judgeFile`, for the images of disks. */
  readonly judge?: (path: string, sha256: string) => Promise<StoredImage | Failure>
}

export interface ImageStore {
  /**
   * Returns the state of an image, and starts a missing arrival in the background. Answers soon; call it again for progress. `refusedAddresses` are
   * public addresses that the image may not come from. Throws StateError.
   */
  resolve(image: ImageReference, refusedAddresses?: readonly string[]): Promise<ImageState>
  /** Removes partial files of killed agents, now and repeatedly until the signal is aborted. Never rejects. */
  sweep(): Promise<void>
}

interface PastSetback {
  readonly state: Setback
  readonly retryAtMs: number
  readonly attempts: number
}

/** The agent's content-addressed images. A file named by its sha256 is hashed, checked and never written again. */
export function imageStore(options: ImageStoreOptions): ImageStore {
  const { layout, files, clock } = options
  const arriving = new Map<string, { progress: string; done: Promise<void> }>()
  const setbacks = new Map<string, PastSetback>()
  /** Copied operator files by source and version, so that polling does not hash them again. */
  const copied = new Map<string, Arrival>()
  const verdicts = new Map<string, StoredImage | Failure>()
  const quiet = quietFiles(clock)
  const downloads = arrivalQueue(maxDownloads)
  const copies = arrivalQueue(maxCopies)
  const intake = imageIntake({ ...options, judge })

  async function resolve(image: ImageReference, refusedAddresses: readonly string[] = []): Promise<ImageState> {
    if (image.sha256 !== null) {
      const known = await stored(image, image.sha256)
      if (known) return known
    }
    return localFile.test(image.source) ? await resolveLocal(image) : await resolveRemote(image, refusedAddresses)
  }

  async function resolveLocal(image: ImageReference): Promise<ImageState> {
    const path = `${layout.root}/${image.source}`
    const fact = await files.stat(path)
    if (fact === undefined) return failed('ImageMissing', `${image.source} is missing on this node; copy the image to ${path}`)
    if (fact.kind !== 'file') return failed('ImageRefused', `${path} is not a regular file; copy the image itself to this path`)
    const key = `${image.source}@${fact.version}`
    const arrival = copied.get(key)
    const wanted: Wanted = { key, image, from: { kind: 'file', path, version: fact.version }, refusedAddresses: [] }
    if (arrival === undefined) return stillWritten(path, fact, image) ?? (await lacksRoom(fact, image)) ?? (await arrive(wanted))
    if (image.sha256 !== null && arrival.sha256 !== image.sha256) return mismatch(image, arrival)
    return (await stored(image, arrival.sha256)) ?? (await arrive(wanted))
  }

  function stillWritten(path: string, fact: FileFact, image: ImageReference): ImageState | undefined {
    if (quiet.waitMs(path, fact) === 0) return undefined
    const message = `${image.source} is still being written; waiting until it is unchanged for ${quietMs / 1000} s`
    return { kind: 'preparing', reason: 'ImageArriving', message }
  }

  async function lacksRoom(fact: FileFact, image: ImageReference): Promise<Failure | undefined> {
    const { freeBytes } = await files.space(layout.store)
    // The copy keeps holes, and turns preallocated blocks of zeros into holes.
    const neededBytes = Math.min(fact.allocatedBytes, fact.sizeBytes)
    return neededBytes > freeBytes - reserveBytes ? insufficient(image.source, neededBytes, freeBytes) : undefined
  }

  async function resolveRemote(image: ImageReference, refusedAddresses: readonly string[]): Promise<ImageState> {
    const url = URL.parse(image.source)
    if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
      return failed('ImageSourceUnsupported', 'an image source must be images/NAME or an http(s):// URL')
    }
    if (image.sha256 === null) return failed('ImageSourceUnsupported', 'an image from the network needs its sha256')
    return await arrive({ key: image.sha256, image, from: { kind: 'network' }, refusedAddresses })
  }

  /** Undefined if the store does not have the image. An image of an earlier agent is checked again first, in the background. */
  async function stored(image: ImageReference, sha256: string): Promise<ImageState | undefined> {
    const verdict = verdicts.get(sha256)
    if (verdict && 'kind' in verdict) return verdict
    if ((await files.stat(layout.storedImage(sha256)))?.kind !== 'file') return undefined
    return verdict
      ? { kind: 'stored', image: verdict }
      : await arrive({ key: `store/${sha256}`, image, from: { kind: 'store', sha256 }, refusedAddresses: [] })
  }

  async function judge(path: string, sha256: string): Promise<StoredImage | Failure> {
    const verdict = await (options.judge?.(path, sha256) ?? judgeFile(options, path, sha256))
    verdicts.set(sha256, verdict)
    return verdict
  }

  async function arrive(wanted: Wanted): Promise<ImageState> {
    const memo = `${wanted.image.source}#${wanted.key}#${wanted.image.sha256}`
    const setback = setbacks.get(memo)
    if (setback && clock.elapsed() < setback.retryAtMs) return setback.state
    const under = arriving.get(wanted.key) ?? start(wanted, memo)
    await Promise.race([under.done, sleep(clock, patienceMs, options.signal)])
    if (arriving.has(wanted.key))
      return { kind: 'preparing', reason: 'ImageArriving', message: `${wanted.image.source}: ${under.progress}` }
    return setbacks.get(memo)?.state ?? (await settled(wanted))
  }

  function start(wanted: Wanted, memo: string): { progress: string; done: Promise<void> } {
    const started = { progress: 'waiting for other images', done: Promise.resolve() }
    arriving.set(wanted.key, started)
    const queue = wanted.from.kind === 'network' ? downloads : copies
    started.done = queue(() => bring(wanted, memo, (text) => (started.progress = text))).finally(() => arriving.delete(wanted.key))
    return started
  }

  /** The state after a successful arrival. A shared arrival may still not match this reference's sha256. */
  async function settled({ key, image, from }: Wanted): Promise<ImageState> {
    const arrival = copied.get(key)
    if (arrival && image.sha256 !== null && arrival.sha256 !== image.sha256) return mismatch(image, arrival)
    const sha256 = from.kind === 'store' ? from.sha256 : (arrival?.sha256 ?? image.sha256)
    const state = sha256 === null ? undefined : await stored(image, sha256)
    return state ?? { kind: 'preparing', reason: 'ImageRetry', message: `${image.source}: retrying` }
  }

  /** Never rejects: an error becomes a setback with a retry time. */
  async function bring(wanted: Wanted, memo: string, onProgress: (text: string) => void): Promise<void> {
    const { from, image } = wanted
    let freeBytes = 0
    try {
      freeBytes = (await files.space(layout.store)).freeBytes
      if (from.kind === 'store') await judge(layout.storedImage(from.sha256), from.sha256)
      else {
        const { arrival, stable, refused } = await intake.bring({ ...wanted, from }, freeBytes - reserveBytes, onProgress)
        if (stable) copied.set(wanted.key, arrival)
        if (refused) throw new Refusal(refused)
      }
      setbacks.delete(memo)
    } catch (error) {
      const attempts = (setbacks.get(memo)?.attempts ?? 0) + 1
      const state = judgeSetback(error, image, freeBytes)
      setbacks.set(memo, { state, attempts, retryAtMs: clock.elapsed() + retryDelayMs(state.kind, attempts) })
      options.log.info({ image: image.source, reason: state.reason, detail: state.message }, 'An image is not available')
    }
  }

  async function sweep(): Promise<void> {
    while (!options.signal.aborted) {
      await sweepPartials(options, intake.ours).catch((error: unknown) =>
        options.log.warn({ error: (error as Error).message }, 'Cannot sweep the image store'),
      )
      await sleep(clock, sweepEveryMs, options.signal).catch(() => undefined)
    }
  }

  return { resolve, sweep }
}

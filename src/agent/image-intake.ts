import type { Layout } from '../api/layout.ts'
import { formatBytes } from '../api/quantity.ts'
import type { Clock } from '../ports/clock.ts'
import type { Arrival, ArrivalOptions, ImageArrivals } from '../ports/image-arrivals.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { StateFiles } from '../ports/state-files.ts'
import type { StoredImage } from './image-file.ts'
import { mismatch } from './image-setback.ts'
import { withLowestRate } from './lowest-rate.ts'
import type { Failure, ImageReference } from './prepare-plan.ts'

type Source =
  | { readonly kind: 'network' }
  /** An operator's file, in this version. */
  | { readonly kind: 'file'; readonly path: string; readonly version: string }
  /** The image is in the store, but this agent has not checked it yet. */
  | { readonly kind: 'store'; readonly sha256: string }

export interface Wanted {
  /** Concurrent arrivals with the same key share one run. */
  readonly key: string
  readonly image: ImageReference
  readonly from: Source
  readonly refusedAddresses: readonly string[]
}

interface Brought {
  readonly arrival: Arrival
  /** True if the operator's file did not change during the copy, so its hash can be cached. */
  readonly stable: boolean
  /** Why the image was not stored. */
  readonly refused: Failure | undefined
}

export interface IntakeOptions {
  readonly layout: Layout
  readonly files: StateFiles
  readonly arrivals: ImageArrivals
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly signal: AbortSignal
  readonly judge: (path: string, sha256: string) => Promise<StoredImage | Failure>
}

export interface ImageIntake {
  /** Copies or downloads into a partial file, checks it and moves it into the store. Throws ArrivalError, StateError and PortError. */
  bring(
    wanted: Wanted & { readonly from: Exclude<Source, { kind: 'store' }> },
    maxBytes: number,
    onProgress: (text: string) => void,
  ): Promise<Brought>
  /** Partial files that are being written. The sweep must keep them: on a slow disk, the last write may take longer than its age limit. */
  readonly ours: ReadonlySet<string>
}

export function imageIntake(options: IntakeOptions): ImageIntake {
  const { layout, files } = options
  const ours = new Set<string>()
  return {
    ours,
    async bring(wanted, maxBytes, onProgress) {
      const { image, from, refusedAddresses } = wanted
      const name = `${image.sha256 ?? 'local'}.partial-${options.random.uuid()}`
      const partial = `${layout.store}/${name}`
      ours.add(name)
      try {
        const arrival = await fetchInto(options, partial, { image, from, refusedAddresses, maxBytes, onProgress })
        const stable = from.kind === 'file' && (await files.stat(from.path))?.version === from.version
        return { arrival, stable, refused: await store(partial, image, arrival, onProgress) }
      } finally {
        ours.delete(name)
      }
    },
  }

  async function store(
    partial: string,
    image: ImageReference,
    arrival: Arrival,
    onProgress: (text: string) => void,
  ): Promise<Failure | undefined> {
    const { sha256 } = arrival
    try {
      const refused = image.sha256 !== null && sha256 !== image.sha256 ? mismatch(image, arrival) : await judged(partial, sha256)
      if (refused) {
        await files.remove(partial)
        return refused
      }
      await files.publish(partial, layout.storedImage(sha256), 0o440)
      options.log.info({ image: image.source, sha256 }, 'Stored an image')
      return undefined
    } catch (error) {
      await files.remove(partial)
      throw error
    }

    async function judged(path: string, hash: string): Promise<Failure | undefined> {
      onProgress('checking the image')
      const verdict = await options.judge(path, hash)
      return 'kind' in verdict ? verdict : undefined
    }
  }
}

interface Fetch {
  readonly image: ImageReference
  readonly refusedAddresses: readonly string[]
  readonly from: Exclude<Source, { kind: 'store' }>
  readonly maxBytes: number
  readonly onProgress: (text: string) => void
}

async function fetchInto({ arrivals, clock, signal }: IntakeOptions, partial: string, fetch: Fetch): Promise<Arrival> {
  const { from, image } = fetch
  const options = (until: AbortSignal, report: (bytes: number) => void = () => undefined): ArrivalOptions => ({
    maxBytes: Math.max(0, fetch.maxBytes),
    signal: until,
    onProgress: (bytes, total) => {
      report(bytes)
      fetch.onProgress(`${formatBytes(bytes)}${total === undefined ? '' : ` of ${formatBytes(total)}`} arrived`)
    },
  })
  if (from.kind === 'file') return await arrivals.copy(from.path, partial, options(signal))
  const { refusedAddresses } = fetch
  return await withLowestRate(clock, signal, (until, report) =>
    arrivals.download(image.source, partial, { ...options(until, report), refusedAddresses }),
  )
}

import { formatBytes } from '../api/quantity.ts'
import { ArrivalError } from '../ports/image-arrivals.ts'
import { StateError } from '../ports/state-files.ts'
import { type Failure, failed, type ImageReference } from './prepare-plan.ts'

/** Left free on the state root's file system, so that running VMs' overlays do not meet a full disk because of an image. */
export const reserveBytes = 64 * 1024 ** 2
/** Why an image is not in the store; `preparing` may pass by itself. */
export type Setback = { readonly kind: 'preparing'; readonly reason: string; readonly message: string } | Failure

/** A judgement carried through a catch. */
export class Refusal extends Error {
  readonly failure: Failure

  constructor(failure: Failure) {
    super(failure.message)
    this.failure = failure
  }
}

export function mismatch(image: ImageReference, sha256: string): Failure {
  return failed(
    'ImageChecksumMismatch',
    `${image.source} has sha256 ${sha256}, the manifest says ${image.sha256}; one of the two is not what was meant`,
  )
}

export function insufficient(source: string, bytes: number | undefined, freeBytes: number): Failure {
  const needs = bytes === undefined ? 'needs more than that' : `needs ${formatBytes(bytes)}`
  return failed(
    'InsufficientDisk',
    `the state root has ${formatBytes(freeBytes)} free, of which ${formatBytes(reserveBytes)} are kept, and the copy of ${source} ${needs}; make room on this node`,
  )
}

/** What an error of an arrival means for those who wait for the image. */
export function judgeSetback(error: unknown, image: ImageReference, freeBytes: number): Setback {
  if (error instanceof Refusal) return error.failure
  if (error instanceof StateError)
    return error.kind === 'NoSpace' ? insufficient(image.source, undefined, freeBytes) : failed('StateRootError', error.message)
  if (!(error instanceof ArrivalError))
    return { kind: 'preparing', reason: 'ImageRetry', message: `${image.source}: ${(error as Error).message}` }
  switch (error.failure) {
    case 'TooLarge':
    case 'NoSpace':
      return insufficient(`${image.source} (${error.message})`, undefined, freeBytes)
    case 'Missing':
      return failed('ImageMissing', error.message)
    case 'NotAFile':
      return failed('ImageRefused', error.message)
    case 'Refused':
      return failed('ImageUnavailable', `${image.source}: ${error.message}`)
    case 'Io':
      return failed('StateRootError', error.message)
    case 'Changed':
    case 'Network':
      return { kind: 'preparing', reason: 'ImageRetry', message: `${image.source} did not arrive and is asked for again: ${error.message}` }
  }
}

/** 5 s doubling to 5 min where it may pass; from 30 s where somebody has to do something first. */
export function retryDelayMs(kind: 'preparing' | 'failed', attempts: number): number {
  return Math.min(300_000, (kind === 'failed' ? 30_000 : 5_000) * 2 ** Math.min(attempts - 1, 10))
}

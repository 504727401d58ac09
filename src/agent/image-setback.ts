import { formatBytes } from '../api/quantity.ts'
import { messageOf } from '../api/error-message.ts'
import { type Arrival, ArrivalError } from '../ports/image-arrivals.ts'
import { StateError } from '../ports/state-files.ts'
import { type Failure, failed, type ImageReference } from './prepare-plan.ts'

/** Kept free on the state root's file system, so that an image does not fill the disk under running VMs. */
export const reserveBytes = 64 * 1024 ** 2
const shownBytes = 48
/** Why an image is not in the store. `preparing` may resolve automatically. */
export type Setback = { readonly kind: 'preparing'; readonly reason: string; readonly message: string } | Failure

/** Carries a failure through a catch. */
export class Refusal extends Error {
  readonly failure: Failure

  constructor(failure: Failure) {
    super(failure.message)
    this.failure = failure
  }
}

/** Describes the received bytes, so that a login page or an error text is recognizable. */
export function mismatch(image: ImageReference, arrival: Arrival): Failure {
  return failed(
    'ImageChecksumMismatch',
    `${image.source} has sha256 ${arrival.sha256}, but the manifest has ${image.sha256}; received ${describe(arrival)}`,
  )
}

function describe({ bytes, contentType, start }: Arrival): string {
  const type = contentType === undefined ? '' : ` of type ${printable(Buffer.from(contentType))}`
  return `${formatBytes(bytes)}${type}, beginning with "${printable(start)}"`
}

/** Escapes untrusted bytes, so that they cannot control a terminal. */
function printable(bytes: Uint8Array): string {
  const shown = [...bytes.subarray(0, shownBytes)]
  return shown
    .map((byte) => (byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c ? String.fromCharCode(byte) : hexEscape(byte)))
    .join('')
}

function hexEscape(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`
}

export function insufficient(source: string, bytes: number | undefined, freeBytes: number): Failure {
  const needs = bytes === undefined ? 'needs more than that' : `needs ${formatBytes(bytes)}`
  return failed(
    'InsufficientDisk',
    `the state root has ${formatBytes(freeBytes)} free, ${formatBytes(reserveBytes)} of it reserved, and the copy of ${source} ${needs}; free space on this node`,
  )
}

/** Classifies an error of an arrival for the VMs that wait for the image. */
export function judgeSetback(error: unknown, image: ImageReference, freeBytes: number): Setback {
  if (error instanceof Refusal) return error.failure
  if (error instanceof StateError)
    return error.kind === 'NoSpace' ? insufficient(image.source, undefined, freeBytes) : failed('StateRootError', error.message)
  if (!(error instanceof ArrivalError)) return retried(`${image.source}: ${messageOf(error)}`)
  return judgeArrival(error, image, freeBytes)
}

function judgeArrival(error: ArrivalError, image: ImageReference, freeBytes: number): Setback {
  const message = cleaned(error.message)
  switch (error.failure) {
    case 'TooLarge':
    case 'NoSpace':
      return insufficient(`${image.source} (${message})`, undefined, freeBytes)
    case 'Missing':
      return failed('ImageMissing', message)
    case 'NotAFile':
      return failed('ImageRefused', message)
    case 'HostRefused':
      return failed('ImageHostRefused', `${image.source}: ${message}`)
    case 'Tls':
      return failed('ImageTlsError', `${image.source}: ${message}`)
    case 'Refused':
      return failed('ImageUnavailable', `${image.source}: ${message}`)
    case 'Io':
      return failed('StateRootError', message)
    case 'Changed':
      return retried(`${image.source}: ${message}; retrying`)
    case 'Network':
    case 'TooSlow':
      return retried(`${image.source}: download failed; retrying: ${message}`)
  }
}

function retried(message: string): Setback {
  return { kind: 'preparing', reason: 'ImageRetry', message }
}

/** The message may contain untrusted text of a server. */
function cleaned(message: string): string {
  return message.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?')
}

/** Doubles from 5 s to 5 min if the problem may resolve automatically. Starts at 30 s if a person must act. */
export function retryDelayMs(kind: 'preparing' | 'failed', attempts: number): number {
  return Math.min(300_000, (kind === 'failed' ? 30_000 : 5_000) * 2 ** Math.min(attempts - 1, 10))
}

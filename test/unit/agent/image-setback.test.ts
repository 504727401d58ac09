import { expect, test } from 'vitest'
import { judgeSetback, mismatch } from '../../../src/agent/image-setback.ts'
import { type ArrivalFailure, ArrivalError } from '../../../src/ports/image-arrivals.ts'

const image = { source: 'https://images.example/x.qcow2', sha256: 'a'.repeat(64) }

test.each<[ArrivalFailure, 'preparing' | 'failed', string]>([
  ['Missing', 'failed', 'ImageMissing'],
  ['NotAFile', 'failed', 'ImageRefused'],
  ['HostRefused', 'failed', 'ImageHostRefused'],
  ['Tls', 'failed', 'ImageTlsError'],
  ['Refused', 'failed', 'ImageUnavailable'],
  ['Changed', 'preparing', 'ImageRetry'],
  ['Network', 'preparing', 'ImageRetry'],
  ['TooSlow', 'preparing', 'ImageRetry'],
  ['TooLarge', 'failed', 'InsufficientDisk'],
  ['NoSpace', 'failed', 'InsufficientDisk'],
  ['Io', 'failed', 'StateRootError'],
])('An arrival that ends with %s is %s, with the reason %s and the cause in its message', (failure, kind, reason) => {
  const state = judgeSetback(new ArrivalError(failure, 'the cause'), image, 2 ** 30)
  expect(state).toMatchObject({ kind, reason, message: expect.stringContaining('the cause') })
})

test('A checksum that does not match says what came instead, and no control character of it', () => {
  const page = '<!DOCTYPE html>\x1b[2J\r\n<title>Sign in"</title>'
  const arrival = { sha256: 'b'.repeat(64), bytes: 1536, contentType: 'text/html\x07', start: Buffer.from(page, 'latin1') }
  const { reason, message } = mismatch(image, arrival)
  expect(reason).toBe('ImageChecksumMismatch')
  expect(message).toContain(
    String.raw`received 1.5 KiB of type text/html\x07, beginning with "<!DOCTYPE html>\x1b[2J\x0d\x0a<title>Sign in\x22`,
  )
  expect(message).toMatch(/^[ -~]*$/)
})

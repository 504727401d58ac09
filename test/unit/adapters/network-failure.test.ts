import { expect, test } from 'vitest'
import { networkFailure } from '../../../src/adapters/node/network-failure.ts'
import { ArrivalError } from '../../../src/ports/image-arrivals.ts'

const anError = (code: string, message: string, syscall?: string) => Object.assign(new Error(message), { code, syscall })
const openssl = (reason: string) =>
  `write EPROTO 40E7:error:0A00010B:SSL routines:ssl3_get_record:${reason}:../deps/openssl/ssl/record.c:354:`

test.each([
  ['Tls', anError('DEPTH_ZERO_SELF_SIGNED_CERT', 'self-signed certificate'), 'not trusted: self-signed certificate'],
  ['Tls', anError('CERT_HAS_EXPIRED', 'certificate has expired'), 'not trusted: certificate has expired'],
  ['Tls', anError('ERR_TLS_CERT_ALTNAME_INVALID', "Hostname/IP does not match certificate's altnames"), 'altnames'],
  ['Tls', anError('EPROTO', openssl('wrong version number'), 'write'), 'handshake failed: wrong version number'],
  ['Refused', anError('HPE_INVALID_CONSTANT', 'Parse Error: Expected HTTP/'), 'does not speak HTTP'],
  ['Network', anError('ECONNREFUSED', 'connect ECONNREFUSED 1.2.3.4:80', 'connect'), 'ECONNREFUSED'],
  ['Network', anError('ECONNRESET', 'aborted'), 'aborted'],
  ['Network', anError('EPIPE', 'write EPIPE', 'write'), 'EPIPE'],
  ['Network', anError('ENOTFOUND', ''), 'ENOTFOUND'],
] as const)('%s is what an error of a connection means: %s', (failure, error, message) => {
  expect(networkFailure(error)).toMatchObject({ failure, message: expect.stringContaining(message), cause: error })
})

test('An error that is already classified is passed on', () => {
  const judged = new ArrivalError('Refused', 'a redirect')
  expect(networkFailure(judged)).toBe(judged)
})

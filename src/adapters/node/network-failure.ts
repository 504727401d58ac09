import { ArrivalError } from '../../ports/image-arrivals.ts'

/** OpenSSL's certificate errors, as Node names them (tls, "X509 certificate error codes"). */
const certificateCodes = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
  'HOSTNAME_MISMATCH',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

/** Classifies an error of a connection to a web server. An ArrivalError is passed on. */
export function networkFailure(cause: unknown): ArrivalError {
  if (cause instanceof ArrivalError) return cause
  const { code = '', message } = cause as NodeJS.ErrnoException
  const said = message || code
  if (certificateCodes.has(code) || code.startsWith('CERT_'))
    return new ArrivalError('Tls', `the server's certificate is not trusted: ${said}`, { cause })
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_'))
    return new ArrivalError('Tls', `the TLS handshake failed: ${reasonOf(said)}`, { cause })
  if (code.startsWith('HPE_')) return new ArrivalError('Refused', `the server does not speak HTTP: ${said}`, { cause })
  return new ArrivalError('Network', said, { cause })
}

/** OpenSSL's line is `write EPROTO 0080…:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../deps/…:354:`. */
function reasonOf(message: string): string {
  return /:SSL routines:[^:]*:(?<reason>[^:]+):/.exec(message)?.groups?.['reason'] ?? message
}

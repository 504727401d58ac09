/**
 * One GET from wherever this is run (a namespace of the lab): `node http-get.ts URL TIMEOUT_MS [TOKEN] [FINGERPRINT]` prints `{status, body}` as JSON.
 * With a fingerprint (SHA-256 of the certificate) the far side must show exactly that certificate, as a client that pinned it would ask.
 */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import type { TLSSocket } from 'node:tls'

const [url = '', timeoutMs = '', token = '', fingerprint = ''] = process.argv.slice(2)

const options: RequestOptions = {
  headers: token === '' ? {} : { authorization: `Bearer ${token}` },
  timeout: Number(timeoutMs),
  // The certificate is self-signed; the pinned fingerprint below is what is trusted.
  rejectUnauthorized: false,
}

const request = (url.startsWith('https:') ? httpsRequest : httpRequest)(url, options, (response) => {
  const seen = fingerprint === '' ? '' : (response.socket as TLSSocket).getPeerCertificate().fingerprint256
  if (seen !== fingerprint) {
    process.stderr.write(`another certificate: ${seen}\n`)
    process.exit(3)
  }
  const chunks: Buffer[] = []
  response.on('data', (chunk: Buffer) => chunks.push(chunk))
  response.on('end', () => {
    process.stdout.write(JSON.stringify({ status: response.statusCode, body: Buffer.concat(chunks).toString('utf8') }))
  })
})
request.on('timeout', () => request.destroy(new Error(`no answer in ${timeoutMs} ms`)))
request.on('error', (error) => {
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
})
request.end()

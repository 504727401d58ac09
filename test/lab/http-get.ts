/**
 * GETs from wherever this is run (a namespace of the lab), for test/lab/http-getter.ts. Each line of stdin is a question, and each is answered by a
 * line `{id, status, body}` or `{id, error}`. With a fingerprint (SHA-256 of the certificate) the server must show exactly that certificate.
 */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { createInterface } from 'node:readline'
import type { TLSSocket } from 'node:tls'
import type { HttpAnswer, HttpQuestion } from './http-getter.ts'

function get({ url, token, fingerprint, timeoutMs }: HttpQuestion): Promise<HttpAnswer> {
  const options: RequestOptions = {
    // Each GET on a connection of its own, as by a program that was just started.
    agent: false,
    headers: token === '' ? {} : { authorization: `Bearer ${token}` },
    timeout: timeoutMs,
    signal: AbortSignal.timeout(2 * timeoutMs),
    // The certificate is self-signed; the pinned fingerprint below is what is trusted.
    rejectUnauthorized: false,
  }
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https:') ? httpsRequest : httpRequest)(url, options, (response) => {
      const seen = fingerprint === '' ? '' : (response.socket as TLSSocket).getPeerCertificate().fingerprint256
      if (seen !== fingerprint) request.destroy(new Error(`another certificate: ${seen}`))
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }))
    })
    request.on('timeout', () => request.destroy(new Error(`no answer in ${timeoutMs} ms`)))
    request.on('error', reject)
    request.end()
  })
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const question = JSON.parse(line) as HttpQuestion & { readonly id: number }
    const say = (answer: object): void => void process.stdout.write(`${JSON.stringify({ id: question.id, ...answer })}\n`)
    get(question).then(say, (error: Error) => say({ error: error.message }))
  })
  .on('close', () => process.exit(0))
